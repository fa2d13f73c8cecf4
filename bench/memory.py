"""Peak memory: ten hours against ten minutes, two thousand files, and the base shape in 1.5 GiB.

    python bench/memory.py [--hours 10] [--files 2000]

Each run is a separate process; its peak counts those that decode for it, and nothing else. Targets: the long input's
peak at most 1.05 × the short one's, everything under the budget that was given.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import base_checkpoint, child, mib, prepare, save, write_clips, write_wav

RUN = """
from pathlib import Path
from overtone import EmotionRecognizer, expand
from overtone.output.formats import open_sink
import threading
from overtone.system.machine import rss_bytes
began, over, decoding = time.perf_counter(), threading.Event(), [0]
def watch():
    while not over.wait(0.1):
        decoding.append(recognizer.runtime.held_bytes - rss_bytes())
with EmotionRecognizer(arguments["model"], memory=arguments["memory"]) as recognizer:
    threading.Thread(target=watch, daemon=True).start()
    sink = open_sink(arguments["out"], granularity="segment", labels=recognizer.labels)
    seconds = files = 0
    with sink:
        for result in recognizer.stream(expand(arguments["inputs"])):
            assert result.ok, result.error
            sink.write(result)
            seconds += result.duration
            files += 1
    plan = recognizer.runtime.engine.plan
    over.set()
wall_s = time.perf_counter() - began
answer(audio_s=seconds, files=files, wall_s=wall_s, budget_bytes=plan.budget_bytes, decoding_bytes=max(decoding))
"""


def run(folder: Path, inputs: list[Path], model: str = "tiny", memory: str = "1GiB") -> dict[str, Any]:
    """Run one process over some inputs."""
    found = child(RUN, model=model, memory=memory, inputs=[str(path) for path in inputs], out=str(folder / "out.jsonl"))
    # The peaks of both need not be at one time; together they are the most that there can have been.
    return {**found, "peak_bytes": found["peak_bytes"] + found["decoding_bytes"]}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=2000)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(model="tiny", memory="1GiB")
        figures["10 minutes"] = run(folder, [write_wav(folder / "short.wav", 600)])
        figures[f"{given.hours:g} hours"] = run(folder, [write_wav(folder / "long.wav", given.hours * 3600)])
        clips = write_clips(folder / "clips", given.files)
        figures["100 short files"] = run(folder, clips[:100])
        figures[f"{given.files} short files"] = run(folder, [folder / "clips"])
        base = str(base_checkpoint(folder / "base"))
        prepare(model=base, memory="1.5GiB")
        figures["base shape, 10 minutes"] = run(folder, [folder / "short.wav"], base, "1.5GiB")
        figures["base shape, 100 short files"] = run(folder, clips[:100], base, "1.5GiB")
    table: list[tuple[str, ...]] = [("work", "audio", "time", "peak", "budget", "peak / budget")]
    for name, found in figures.items():
        share = found["peak_bytes"] / found["budget_bytes"]
        row = (f"{found['audio_s']:.0f} s", f"{found['wall_s']:.1f} s", mib(found["peak_bytes"]))
        table.append((name, *row, mib(found["budget_bytes"]), f"{share:.2f}"))
    short, long, hundred, thousands = (figures[name]["peak_bytes"] for name in list(figures)[:4])
    figures["ratios"] = {"long / short": long / short, "many / hundred": thousands / hundred}
    save("memory", figures, table)
    print(f"long / short: {long / short:.3f}; many / hundred: {thousands / hundred:.3f}")


if __name__ == "__main__":
    main()
