"""Does memory creep? Resident memory over a thousand clips of random length, one after the other, in one process.

    python bench/creep.py [--model tiny base] [--clips 1000] [--precision fp32|bf16|int8]

Clips of 1 to 30 s of the example call. Target: after the first hundred, in which kernels for the lengths that there are
come to be, resident memory grows by at most 3 %.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, mib, prepare, save

TARGET = 0.03
EVERY = 100

RUN = """
import numpy as np
from common import speech
from overtone import Audio, EmotionRecognizer
from overtone.system.machine import rss_bytes
random = np.random.default_rng(0)
call = speech()
resident, lately = [], []
with EmotionRecognizer(arguments["model"], precision=arguments["precision"]) as recognizer:
    for clip in range(1, arguments["clips"] + 1):
        length = round(random.uniform(1, 30) * 16000)
        start = random.integers(0, len(call) - length)
        recognizer(Audio(call[start : start + length], 16000))
        lately = [*lately[-9:], rss_bytes()]
        if clip % arguments["every"] == 0:
            # The mean of the last ten: heap is given back every now and then, and one moment may lie before or after.
            resident.append(float(np.mean(lately)))
answer(resident_bytes=resident)
"""


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=("tiny", "base"), default=["tiny", "base"])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32")
    given = parser.parse_args()
    every = min(EVERY, max(1, given.clips // 2))
    figures: dict[str, Any] = {}
    table: list[tuple[str, ...]] = [
        ("model", f"after {every} clips", f"after {given.clips} clips", "highest", "growth", "target")
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.model:
            model = name if name == "tiny" else str(base_checkpoint(Path(temporary) / name))
            prepare(model=model, precision=given.precision)
            found = child(RUN, model=model, precision=given.precision, clips=given.clips, every=every)
            resident = found["resident_bytes"]
            found["growth"] = resident[-1] / resident[0] - 1
            figures[f"{name}, {given.precision}"] = found
            sizes = (mib(resident[0]), mib(resident[-1]), mib(max(resident)))
            row = (f"{name}, {given.precision}", *sizes, f"{100 * found['growth']:.1f} %", f"≤ {100 * TARGET:.0f} %")
            table.append(row)
    save("creep", figures, table)


if __name__ == "__main__":
    main()
