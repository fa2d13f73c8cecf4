"""Savings from leaving out far keys when a file is run whole, and the change in its result.

    python bench/locality.py [--seconds 30 120 600] [--repeats 3] [--backends openvino torch]

The base shape with seeded random weights, float32, the example call over and over. With and without leaving
keys out, in turns within one process; medians after a warm-up of both. Windows are found from the data, and seeded
weights make smaller logits than trained ones: a trained checkpoint leaves out less.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, save
from overtone.system.machine import usable_cpus

RUN = """
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch
import numpy as np
from common import speech
from overtone.models import checkpoints
from overtone.options.emotion import Options
from overtone.engine.loader import load
from overtone.models.layers.attention_span import SKIPPED_SHARE, bands
from overtone.types import FRAMES, Batch

checkpoint = checkpoints.read(Path(arguments["model"]), name="base")
name = arguments["backend"]
loaded = load(checkpoint, Options(backend=name, context="full"), "cpu", arguments["threads"])
where = {
    "openvino": "overtone.backends.openvino.block_attention",
    "torch": "overtone.models.layers.alibi_attention",
}[name]
samples = round(arguments["seconds"] * 16000)
batch = Batch((np.resize(speech(), samples),), samples, wish=FRAMES)

def run(share, ask=bands):
    with ExitStack() as stack:
        # Attention asks `bands`, with the share last.
        stack.enter_context(patch(where + ".bands", lambda *asked: ask(*asked[:5], share)))
        began = time.perf_counter()
        frames = loaded.backend.run(batch)[0].frames
        return time.perf_counter() - began, frames

frames = [run(share)[1] for share in (0.0, SKIPPED_SHARE)]
times = [[run(share)[0] for share in (0.0, SKIPPED_SHARE)] for _ in range(arguments["repeats"])]

# What each layer leaves out.
skipped = []

def watched(query, key, slopes, valid, extra, share):
    tokens, size, found = query.shape[2], 128, []
    made = bands(query, key, slopes, valid, extra, share)
    for band in made:
        seen = whole = 0
        for start in range(extra, tokens, size):
            rows = range(start, min(start + size, tokens))
            seen += len(rows) * (extra + len(band.keys(rows, extra, tokens)))
            whole += len(rows) * tokens
        found.append({"heads": list(band.heads), "skipped": 1 - seen / whole, "reach": max(band.reaches)})
    skipped.append(found)
    return made

run(SKIPPED_SHARE, watched)
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
    parser.add_argument("--backends", nargs="+", choices=("openvino", "torch"), default=["openvino", "torch"])
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    head = (
        "audio",
        "through",
        "all keys",
        "far keys left out",
        "ratio",
        "pairs left out",
        "heads: left out, middle layer",
    )
    table: list[tuple[str, ...]] = [(*head, "largest difference of frames")]
    with tempfile.TemporaryDirectory() as temporary:
        model = str(base_checkpoint(Path(temporary) / "base"))
        for seconds, backend in itertools.product(given.seconds, given.backends):
            asked = {"model": model, "backend": backend, "threads": usable_cpus()}
            found = child(RUN, **asked, seconds=seconds, repeats=given.repeats)
            dense, local = (statistics.median(found[name]) for name in ("dense_s", "local_s"))
            figures[f"{seconds:g} s, {backend}"] = {**found, "dense_median_s": dense, "local_median_s": local}
            table.append(
                (
                    f"{seconds:g} s",
                    backend,
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
