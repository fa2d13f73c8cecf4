"""Time and peak memory for one clip, beside FunASR on the same checkpoint, each in a process of its own.

    python bench/clips.py [--repeats 3] [--peaks]

The base shape with seeded random weights, float32, the same number of threads for both. Medians of repeats after one
warm-up; the two take turns, so that a busy moment hits both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import RESULTS, base_checkpoint, child, mib, save, write_wav

SECONDS = (5, 15, 30, 60, 120)

OURS = """
began = time.perf_counter()
from overtone import EmotionRecognizer
recognizer = EmotionRecognizer(arguments["model"], context=arguments["context"])
recognizer(arguments["wav"])
first_s = time.perf_counter() - began
times = []
for _ in range(arguments["repeats"]):
    began = time.perf_counter()
    recognizer(arguments["wav"])
    times.append(time.perf_counter() - began)
answer(times=times, first_s=first_s)
"""

THEIRS = """
began = time.perf_counter()
import logging
import funasr, torch
logging.disable(logging.CRITICAL)
model = funasr.AutoModel(model=arguments["model"], disable_update=True, disable_pbar=True, device="cpu",
                         ncpu=arguments["threads"])
model.generate(arguments["wav"])
first_s = time.perf_counter() - began
times = []
for _ in range(arguments["repeats"]):
    began = time.perf_counter()
    model.generate(arguments["wav"])
    times.append(time.perf_counter() - began)
answer(times=times, first_s=first_s)
"""


def attempt(code: str, **arguments: Any) -> dict[str, Any]:
    """A run that may die of its memory."""
    try:
        found = child(code, **arguments)
        return {**found, "median_s": statistics.median(found["times"])}
    except RuntimeError as error:
        return {"error": str(error)[:300]}


def table_of(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """The figures as rows."""
    table: list[tuple[str, ...]] = [
        ("clip", "tiny", "base shape", "base, whole file", "FunASR, base", "FunASR / Overtone, time")
    ]
    for clip, row in figures.items():
        cells = [
            f"{found['median_s']:.2f} s, {mib(found['peak_bytes'])}" if "median_s" in found else "died"
            for found in row.values()
        ]
        ratio = row["funasr"].get("median_s", float("nan")) / row["base"].get("median_s", float("nan"))
        table.append((clip, *cells, f"{ratio:.2f} ×"))
    return table


def main() -> None:
    """Measure, print and save."""
    from overtone.resources import usable_cpus

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peaks", action="store_true", help="measure Overtone's peaks again, and keep the times")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    if given.peaks:
        figures = json.loads((RESULTS / "clips.json").read_text(encoding="utf-8"))["figures"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = str(base_checkpoint(folder / "base"))
        attempt(OURS, model=base, wav=str(write_wav(folder / "w.wav", 5)), repeats=1, context="segment")
        for seconds in SECONDS:
            wav = str(write_wav(folder / f"{seconds}.wav", seconds))
            shared = {"wav": wav, "repeats": 1 if given.peaks else given.repeats}
            ours = {
                "tiny": attempt(OURS, model="tiny", context="segment", **shared),
                "base": attempt(OURS, model=base, context="segment", **shared),
                "whole": attempt(OURS, model=base, context="full", **shared),
            }
            if given.peaks:
                for name, found in ours.items():
                    figures[f"{seconds} s"][name]["peak_bytes"] = found["peak_bytes"]
            else:
                figures[f"{seconds} s"] = ours | {
                    "funasr": attempt(THEIRS, model=base, threads=usable_cpus(), **shared)
                }
    save("clips", figures, table_of(figures))


if __name__ == "__main__":
    main()
