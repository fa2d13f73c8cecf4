"""Size of a batch: padded seconds against speed and peak memory, on short clips.

    python bench/batch_seconds.py

To choose the default cap on batches by (`BATCH_S` in `overtone.engine.device_model`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, mib, prepare, save, write_clips

RUN = """
from overtone import EmotionRecognizer, expand
with EmotionRecognizer(arguments["model"], batch_size_s=arguments["batch_s"]) as recognizer:
    for warm in (False, True):
        began, before = time.perf_counter(), recognizer.runtime.engine.stats.batches
        seconds = sum(result.duration for result in recognizer.stream(expand([arguments["clips"]])))
    answer(rtf=(time.perf_counter() - began) / seconds, batches=recognizer.runtime.engine.stats.batches - before)
"""


def main() -> None:
    """Measure, print and save."""
    figures: dict[str, Any] = {}
    table: list[tuple[str, ...]] = [("model", "padded s in a batch", "s / s of audio", "batches", "peak")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = str(base_checkpoint(folder / "base"))
        for model, count in (("tiny", 400), (base, 60)):
            write_clips(folder / f"clips{count}", count)
            prepare(model=model)
            for batch_s in (8, 15, 30, 60, 120, 240):
                found = child(RUN, model=model, batch_s=batch_s, clips=str(folder / f"clips{count}"))
                name = "base shape" if model == base else model
                figures[f"{name}, {batch_s} s"] = found
                speed = (f"{found['rtf']:.4f}", str(found["batches"]), mib(found["peak_bytes"]))
                table.append((name, str(batch_s), *speed))
    save("batch_seconds", figures, table)


if __name__ == "__main__":
    main()
