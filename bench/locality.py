"""What leaving out far keys saves when a file is run whole, and what it changes.

    python bench/locality.py [--seconds 30 120 600] [--repeats 3]

The base shape with seeded random weights, PyTorch, float32, the example call over and over. With and without leaving
keys out, in turns within one process; medians after a warm-up of both. Windows are found from the data, and seeded
weights make smaller logits than trained ones: a trained checkpoint leaves out less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, save

RUN = """
from functools import partial
from pathlib import Path
import numpy as np
from common import speech
from overtone import checkpoints
from overtone.backends.torch_backend import TorchBackend
from overtone.models.attention import attend
from overtone.models.emotion2vec import Attention
from overtone.models.loading import load
from overtone.models.locality import SKIPPED_SHARE, bands
from overtone.resources import usable_cpus
from overtone.values import Batch

network, _ = load(checkpoints.read(Path(arguments["model"]), name="base"))
layers = [module for module in network.modules() if isinstance(module, Attention)]
backend = TorchBackend(network, device="cpu", precision="fp32", threads=usable_cpus())
samples = round(arguments["seconds"] * 16000)
batch = Batch((np.resize(speech(), samples),), samples, want_frames=True)

def run(share):
    network.attend_by(partial(attend, share=share))
    began = time.perf_counter()
    frames = backend.run(batch)[0].frames
    return time.perf_counter() - began, frames

frames = [run(share)[1] for share in (0.0, SKIPPED_SHARE)]
times = [[run(share)[0] for share in (0.0, SKIPPED_SHARE)] for _ in range(arguments["repeats"])]

# What each layer leaves out, from the queries and keys that it makes.
a = network.architecture
heads, extra = a.num_heads, a.num_extra_tokens
skipped = []

def watch(layer, _, made):
    query, key, _ = made.view(1, made.shape[1], 3, heads, -1).permute(2, 0, 3, 1, 4)
    tokens, size, found = made.shape[1], 64, []
    for band in bands(query, key, network.slopes(len(skipped)), None, extra):
        seen = whole = 0
        for start in range(extra, tokens, size):
            rows = range(start, min(start + size, tokens))
            seen += len(rows) * (extra + len(band.keys(rows, extra, tokens)))
            whole += len(rows) * tokens
        found.append({"heads": list(band.heads), "skipped": 1 - seen / whole, "reach": max(band.reaches)})
    skipped.append(found)

hooks = [layer.qkv.register_forward_hook(watch) for layer in layers]
run(SKIPPED_SHARE)
answer(dense_s=[t[0] for t in times], local_s=[t[1] for t in times], skipped=skipped,
       difference=float(np.abs(frames[0] - frames[1]).max()), largest=float(np.abs(frames[0]).max()))
"""


def share_of(layers: list[list[dict[str, Any]]]) -> float:
    """Share of all pairs of a query and a key that is left out, over heads and layers."""
    weights = [(len(band["heads"]), band["skipped"]) for bands in layers for band in bands]
    return float(sum(n * skipped for n, skipped in weights) / sum(n for n, _ in weights))


def groups_of(layers: list[list[dict[str, Any]]]) -> str:
    """Heads and share left out for each band, of the layer in the middle."""
    bands = layers[len(layers) // 2]
    return "; ".join(f"{len(band['heads'])}: {100 * band['skipped']:.0f} %" for band in bands)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30, 120, 600])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    head = ("audio", "all keys", "far keys left out", "ratio", "pairs left out", "heads: left out, middle layer")
    table: list[tuple[str, ...]] = [(*head, "largest difference of frames")]
    with tempfile.TemporaryDirectory() as temporary:
        model = str(base_checkpoint(Path(temporary) / "base"))
        for seconds in given.seconds:
            found = child(RUN, model=model, seconds=seconds, repeats=given.repeats)
            dense, local = (statistics.median(found[name]) for name in ("dense_s", "local_s"))
            figures[f"{seconds:g} s"] = {**found, "dense_median_s": dense, "local_median_s": local}
            table.append(
                (
                    f"{seconds:g} s",
                    f"{dense:.2f} s",
                    f"{local:.2f} s",
                    f"{dense / local:.2f} ×",
                    f"{100 * share_of(found['skipped']):.0f} %",
                    groups_of(found["skipped"]),
                    f"{found['difference']:.1e} of {found['largest']:.1f}",
                )
            )
    save("locality", figures, table)


if __name__ == "__main__":
    main()
