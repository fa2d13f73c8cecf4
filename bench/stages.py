"""Time of a model by part through OpenVINO, and how near each part is to this machine's own rate.

    python bench/stages.py [--shape base|large|small] [--repeats 10] [--precisions fp32 bf16 int8]

OpenVINO counts the time of every node of the compiled graph. Nodes are added up into the feature extractor, the
positional convolutions and the rest of the encoder, and each part's floating-point operations over its time are set
beside the rate of matrix products here and now, in the same precision.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, flops_by_part, save
from machine_rate import PRODUCT, machine_rates, rate_of

RUN = """
import numpy as np
from overtone import conversion
from overtone.models import checkpoints
from overtone.backends.openvino.compiled_model import CompiledModel
from overtone.backends.openvino.module import openvino_core
from overtone.models.emotion2vec.config import Architecture

# Of every model compiled in this process from here on.
openvino_core().set_property("CPU", {"PERF_COUNT": True})
checkpoint = checkpoints.find(arguments["model"])
folder = conversion.converted(checkpoint, arguments["precision"]).folder
architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
random = np.random.default_rng(0)

def nodes(model, runs):
    # Each node's time is its mean over all runs so far, so sums are means times their number.
    return {place: (node.node_name, node.node_type, node.real_time.total_seconds() * runs)
            for place, node in enumerate(model._request.get_profiling_info())}

def profile(name, inputs, repeats):
    # A model of its own for each length, since counts are never set back; its first run, which packs weights, is taken
    # off.
    model = CompiledModel(folder / name, threads=arguments["threads"], precision=arguments["precision"])
    model.infer(inputs)
    first = nodes(model, 1)
    began = time.perf_counter()
    for _ in range(repeats):
        model.infer(inputs)
    wall_s = (time.perf_counter() - began) / repeats
    last = nodes(model, repeats + 1)
    found = [(name, kind, max(0.0, total - first[place][2]) / repeats) for place, (name, kind, total) in last.items()]
    return found, wall_s

samples = architecture.samples_for(arguments["chunk"])
waveforms = random.standard_normal((1, samples)).astype(np.float32)
frames = architecture.frames_of(round(arguments["seconds"] * 16000))
features = random.standard_normal((1, frames, architecture.embed_dim)).astype(np.float32)
chunks = -(-frames // arguments["chunk"])
parts = {"features": 0.0, "positions": 0.0, "encoder": 0.0}
kinds = {part: {} for part in parts}
def add(part, kind, seconds):
    parts[part] += seconds
    kinds[part][kind] = kinds[part].get(kind, 0.0) + seconds
extracted, chunk_s = profile("features.xml", {"waveforms": waveforms}, arguments["repeats"] * min(chunks, 20))
for _, kind, seconds in extracted:
    add("features", kind, seconds * chunks)
encoded, encoder_s = profile("encoder.xml", {"features": features, "counts": np.array([frames])}, arguments["repeats"])
for name, kind, seconds in encoded:
    add("positions" if "relative_positional_encoder" in name else "encoder", kind, seconds)
answer(parts=parts, kinds=kinds, wall_s=chunk_s * chunks + encoder_s)
"""

SECONDS = (10, 30)
SHOWN_KINDS = 3


def main() -> None:
    """Measure, print and save."""
    from overtone.backends.openvino.compiled_model import has_fast_bf16
    from overtone.models import checkpoints
    from overtone.models.emotion2vec.config import Architecture
    from overtone.models.emotion2vec.graphs import FEATURE_FRAMES
    from overtone.system.machine import usable_cpus

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("base", "large", "small"), default="base")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16", "int8"), default=["fp32", "bf16", "int8"])
    parser.add_argument("--keep", type=Path, help="keep checkpoint and conversions here, and take them from here")
    given = parser.parse_args()
    threads = usable_cpus()
    figures: dict[str, Any] = {"product": PRODUCT, "rates": {"before": machine_rates(threads)}, "stages": {}}
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.keep or Path(temporary)).resolve()
        os.environ["OVERTONE_CACHE"] = str(place / "cache")  # of this process and its children
        model = str(base_checkpoint(place / given.shape, given.shape))
        found = checkpoints.find(model)
        architecture = Architecture.from_config(found.config, found.name)
        for precision in given.precisions:
            if precision == "bf16" and not has_fast_bf16():
                print("bf16 is left out: this processor has no fast bf16")
                continue
            for seconds in SECONDS:
                shared = {"chunk": FEATURE_FRAMES, "threads": threads, "repeats": given.repeats}
                measured = child(RUN, model=model, precision=precision, seconds=seconds, **shared)
                work = flops_by_part(architecture, seconds)
                figures["stages"][f"{precision}, {seconds} s"] = {**measured, "flops": work}
    figures["rates"]["after"] = machine_rates(threads)
    table: list[tuple[str, ...]] = [
        ("precision, clip", "part", "time", "of the time", "of the operations", "of the machine's rate", "most of it")
    ]
    for name, stage in figures["stages"].items():
        rate = rate_of(figures["rates"], name.split(",")[0])
        whole_s, whole_flops = sum(stage["parts"].values()), sum(stage["flops"].values())
        stage["fraction"] = {}
        for part, seconds in stage["parts"].items():
            work = stage["flops"][part]
            fraction = stage["fraction"][part] = work / seconds / rate if rate and seconds else None
            kinds = sorted(stage["kinds"][part].items(), key=lambda kind: -kind[1])[:SHOWN_KINDS]
            table.append(
                (
                    name,
                    part,
                    f"{1000 * seconds:.1f} ms",
                    f"{100 * seconds / whole_s:.0f} %",
                    f"{100 * work / whole_flops:.0f} %",
                    "" if fraction is None else f"{100 * fraction:.0f} %",
                    ", ".join(f"{kind} {100 * spent / seconds:.0f} %" for kind, spent in kinds if seconds),
                )
            )
    name = "stages" if given.shape == "base" else f"stages_{given.shape}"
    save(name, figures, table, command=f"python bench/stages.py --shape {given.shape}")


if __name__ == "__main__":
    main()
