"""Overhead around the model: the time of a folder over the time in which the model ran.

    python bench/pipeline.py [--model tiny base] [--files 400] [--repeats 3] [--precision fp32|bf16|int8]

Short clips to JSON lines as the command line does it, in one warm process. Decoding goes on beside the model, so the
rest is the time that the model has to wait for. Target: at most 1.1 times the model's own time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, mib, prepare, save, write_clips
from overtone.tools.benchmark import BenchmarkWorker

TARGET = 1.1
WARM_UP_FILES = 20


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=("tiny", "base"), default=["tiny", "base"])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    table: list[tuple[str, ...]] = [("model", "audio", "folder", "model's time", "folder / model", "target", "peak")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = [str(path) for path in write_clips(folder / "clips", given.files)]
        out = str(folder / "out.jsonl")
        for name in given.model:
            model = name if name == "tiny" else str(base_checkpoint(folder / name))
            prepare(model=model, precision=given.precision)
            with BenchmarkWorker("overtone") as contender:
                contender.ask("load", model=model, precision=given.precision)
                contender.ask("folder", inputs=clips[:WARM_UP_FILES], output=out)
                runs = [
                    contender.ask("folder", inputs=[str(folder / "clips")], output=out) for _ in range(given.repeats)
                ]
            ratio = statistics.median(run["seconds"] / run["run_s"] for run in runs)
            figures[f"{name}, {given.precision}"] = {"runs": runs, "ratio": ratio}
            middle = sorted(runs, key=lambda run: run["seconds"] / run["run_s"])[len(runs) // 2]
            times = (f"{middle['audio_s']:.0f} s", f"{middle['seconds']:.2f} s", f"{middle['run_s']:.2f} s")
            peak = mib(runs[-1]["peak_bytes"])
            table.append((f"{name}, {given.precision}", *times, f"{ratio:.2f}", f"≤ {TARGET}", peak))
    save("pipeline", figures, table)


if __name__ == "__main__":
    main()
