"""Decoding in processes beside decoding in threads: a folder of short clips, and the time to a first result.

    python bench/decoding.py [--files 2000] [--repeats 5]

Each run is a separate process; the two ways take turns. Target: the folder at most 3 % slower with `tiny`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, mib, prepare, save, write_clips

RUN = """
from overtone import EmotionRecognizer, expand
began = time.perf_counter()
with EmotionRecognizer(arguments["model"], memory="2GiB", decode=arguments["decode"]) as recognizer:
    first, files = None, 0
    for result in recognizer.stream(expand(arguments["inputs"])):
        assert result.ok, result.error
        if first is None:
            first = time.perf_counter() - began
        files += 1
    wall_s, held = time.perf_counter() - began, recognizer.runtime.held_bytes
answer(first_s=first, wall_s=wall_s, files=files, held_bytes=held)
"""

WAYS = ("threads", "processes")


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    table: list[tuple[str, ...]] = [("work", "decoded in", "first result", "all", "held", "to threads")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = [str(path) for path in write_clips(folder / "clips", given.files)]
        for model, inputs in (("tiny", clips), (str(base_checkpoint(folder / "base")), clips[:50])):
            prepare(model=model, memory="2GiB")
            runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
            for turn in range(given.repeats):
                for way in WAYS if turn % 2 else WAYS[::-1]:
                    runs[way].append(child(RUN, model=model, inputs=inputs, decode=way))
            work = f"{Path(model).name}, {len(inputs)} short clips"
            figures[work] = runs
            pairs = zip(runs["processes"], runs["threads"], strict=True)
            ratio = statistics.median(one["wall_s"] / other["wall_s"] for one, other in pairs)
            for way in WAYS:
                first, wall, held = (
                    statistics.median(run[key] for run in runs[way]) for key in ("first_s", "wall_s", "held_bytes")
                )
                beside = f"{ratio:.3f}" if way == "processes" else "1"
                table.append((work, way, f"{first:.2f} s", f"{wall:.2f} s", mib(held), beside))
    save("decoding", figures, table)


if __name__ == "__main__":
    main()
