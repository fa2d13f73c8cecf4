"""Steadiness: is clip 2,000 as fast as clip 1, and does memory stay where it was?

    python bench/steady.py [--clips 2000]

One process, one model, clips of random length one after the other. Target: seconds of running per second of audio over
the last hundred clips within 5 % of the first hundred after a warm-up of a hundred. The same hundred lengths come round
again and again in a shuffled order, so that windows compare like with like.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import child, mib, prepare, save

RUN = """
import numpy as np
import psutil
from common import speech
from overtone import Audio, EmotionRecognizer
from overtone.system.machine import rss_bytes
random = np.random.default_rng(0)
call = speech()
lengths = random.uniform(1, 8, 100)
rates, resident = [], []
with EmotionRecognizer(arguments["model"]) as recognizer:
    options = recognizer.options
    for clip in range(arguments["clips"]):
        if clip % 100 == 0:
            order = random.permutation(100)
        length = round(lengths[order[clip % 100]] * 16000)
        start = random.integers(0, len(call) - length)
        result = recognizer(Audio(call[start : start + length], 16000))
        rates.append((result.timings.run_s, length / 16000))
        resident.append(rss_bytes())
        if clip == 99:
            threads = psutil.Process().num_threads()
    assert recognizer.options == options and psutil.Process().num_threads() == threads
rates = np.array(rates).reshape(-1, 100, 2).sum(axis=1)
answer(rtf=(rates[:, 0] / rates[:, 1]).tolist(), resident=[resident[i] for i in range(99, len(resident), 100)])
"""


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--model", default="tiny")
    given = parser.parse_args()
    if given.clips < 300 or given.clips % 100:
        parser.error("--clips: a multiple of 100, 300 at the least")
    prepare(model=given.model)
    found: dict[str, Any] = child(RUN, model=given.model, clips=given.clips)
    after_warm_up, last = found["rtf"][1], found["rtf"][-1]
    grown = found["resident"][-1] / found["resident"][0] - 1
    figures = {**found, "last / first": last / after_warm_up, "memory growth after the first hundred": grown}
    table: list[tuple[str, ...]] = [("clips", "run s / audio s", "resident")]
    for hundred in sorted({0, 1, 2, len(found["rtf"]) // 2, len(found["rtf"]) - 1}):
        name = f"{hundred * 100 + 1}-{hundred * 100 + 100}"
        table.append((name, f"{found['rtf'][hundred]:.5f}", mib(found["resident"][hundred])))
    save("steady", figures, table)
    print(f"last hundred / first hundred after warm-up: {last / after_warm_up:.3f}; memory growth {100 * grown:.1f} %")


if __name__ == "__main__":
    main()
