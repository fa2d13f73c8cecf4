"""Overtone beside FunASR: the same checkpoint, audio and number of threads, taking turns within one run.

    python bench/vs_funasr.py [--work clips folder hour cold rate] [--shape base|large|small] [--repeats 5]
                              [--keep FOLDER] [--corpus FOLDER] [--funasr-hour]

Each contender is a process that stays: FunASR in fp32, Overtone in fp32, bf16 (where the processor has it) and int8.
They take turns at every clip, so a busy moment hits all; medians of repeats after a warm-up; only one computes at a
time. The checkpoint has a published shape (small: a trial of this script) and seeded random weights. Parts not
measured now are kept from an earlier run, if that was on the same machine, with the same versions.

clips: 5 to 120 s, files to results. folder: 400 short clips to JSON lines. hour: Overtone's time per second of audio
for an hour beside that for 15 s. cold: from starting a process to the result of a clip of 5 s. rate: the machine's own
rate alone, which clips measure too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import RESULTS, base_checkpoint, child, flops, hardware, save, write_clips, write_wav
from machine_rate import PRODUCT, machine_rates
from overtone.models import checkpoints
from overtone.models.emotion2vec.config import Architecture
from overtone.system.machine import available_bytes, usable_cpus
from overtone.tools.benchmark import BenchmarkWorker, Timed, WorkerDied, take_turns
from vs_funasr_tables import CLIP_TARGETS, FUNASR, PRECISIONS, draw, fractions_of, merged, table_of

WHOLE = "fp32, whole"
BATCHED = "funasr, batch_size"
WHOLE_FROM_S = 60
"""Seconds of the shortest clip that is run whole too: shorter ones are not cut anyway."""

WARM_UP_FILES = 20
BATCH_SIZE = 8
"""For FunASR's `batch_size`, in the row that has one."""

CONVERT = """
from overtone import conversion
from overtone.models import checkpoints
began = time.perf_counter()
conversion.converted(checkpoints.find(arguments["model"]), arguments["precision"])
answer(seconds=time.perf_counter() - began)
"""

FUNASR_ONCE = """
import sys
import funasr
model = funasr.AutoModel(model=sys.argv[1], disable_update=True, disable_pbar=True, device="cpu", ncpu=int(sys.argv[2]))
print(model.generate(sys.argv[3]))
"""

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from overtone.cli import main
main()
"""


@dataclass(frozen=True)
class Bench:
    """Settings of the comparison."""

    folder: Path
    shape: str
    repeats: int
    corpus: Path | None
    funasr_hour: bool
    clip_s: tuple[int, ...]
    files: int
    hour_s: int
    precisions: tuple[str, ...]
    threads: int

    @property
    def checkpoint(self) -> str:
        """Its folder, made at first."""
        return str(base_checkpoint(self.folder / self.shape, self.shape))

    @property
    def architecture(self) -> Architecture:
        """Its shape."""
        found = checkpoints.find(self.checkpoint)
        return Architecture.from_config(found.config, found.name)

    @contextmanager
    def contenders(self, *names: str) -> Iterator[dict[str, BenchmarkWorker]]:
        """The processes, their models loaded."""
        with ExitStack() as stack:
            started = {}
            for name in names:
                theirs = name in (FUNASR, BATCHED)
                started[name] = stack.enter_context(BenchmarkWorker("funasr" if theirs else "overtone"))
                given: dict[str, Any] = {"model": self.checkpoint, "device": "cpu", "threads": self.threads}
                if not theirs:
                    given["precision"] = "fp32" if name == WHOLE else name
                    given["context"] = "full" if name == WHOLE else "segment"
                found = started[name].ask("load", **given)
                print(f"{name}: loaded in {found['seconds']:.1f} s on {found['threads']} threads", flush=True)
            yield started


def clips(bench: Bench) -> dict[str, Any]:
    """Single clips, from short to long, so that the highest memory so far is that clip's."""
    names = (FUNASR, *bench.precisions, *([WHOLE] if max(bench.clip_s) >= WHOLE_FROM_S else []))
    figures: dict[str, Any] = {"product": PRODUCT, "rates": {"before": machine_rates(bench.threads)}, "clips": {}}
    with bench.contenders(*names) as contenders:
        for seconds in bench.clip_s:
            wav = str(write_wav(bench.folder / f"{seconds}.wav", seconds))
            found = take_turns(
                {
                    name: (contender, {"do": "clip", "source": wav})
                    for name, contender in contenders.items()
                    if name != WHOLE or seconds >= WHOLE_FROM_S
                },
                repeats=bench.repeats,
            )
            figures["clips"][str(seconds)] = {name: row(timed) for name, timed in found.items()}
            print(f"{seconds} s:", {name: timed.median_s or timed.error for name, timed in found.items()}, flush=True)
    figures["rates"]["after"] = machine_rates(bench.threads)
    for seconds, rows in figures["clips"].items():
        for found in rows.values():
            # Of the segments that ran, where audio was cut.
            ran = found.get("segments_s") or [int(seconds)]
            found["flops"] = sum(flops(bench.architecture, length) for length in ran)
    return figures


def rate(bench: Bench) -> dict[str, Any]:
    """The machine's rate alone, some seconds: clips that were measured before are held beside it."""
    return {"product": PRODUCT, "rates": {"alone": machine_rates(bench.threads)}}


def row(timed: Timed) -> dict[str, Any]:
    """Figures kept of turns."""
    names = ("segments_s", "run_s", "files")
    kept: dict[str, Any] = {name: timed.answer[name] for name in names if name in timed.answer}
    return {
        "median_s": timed.median_s,
        "times_s": timed.times_s,
        "peak_bytes": timed.peak_bytes,
        **({"error": timed.error} if timed.error else {}),
        **kept,
    }


def folder(bench: Bench) -> dict[str, Any]:
    """A folder of short clips to JSON lines; the first clips are the warm-up."""
    source = bench.folder / "corpus"
    shutil.rmtree(source, ignore_errors=True)
    if bench.corpus is None:
        write_clips(source, bench.files)
    else:
        source.mkdir()
        for path in sorted(bench.corpus.glob("*.wav"))[: bench.files]:
            shutil.copy(path, source)
    paths = [str(path) for path in sorted(source.iterdir())]
    out = str(bench.folder / "out.jsonl")
    found: dict[str, Timed] = {}
    # The row with FunASR's `batch_size` comes after the others, once: it takes as long as the one without.
    for names, repeats in (((FUNASR, *bench.precisions), min(3, bench.repeats)), ((BATCHED,), 1)):
        with bench.contenders(*names) as contenders:
            work: dict[str, tuple[BenchmarkWorker, dict[str, Any]]] = {}
            for name, contender in contenders.items():
                contender.ask("folder", inputs=paths[:WARM_UP_FILES], output=out)
                command: dict[str, Any] = {"do": "folder", "output": out}
                command["inputs"] = [str(source)] if name in bench.precisions else paths
                work[name] = contender, command | ({"batch_size": BATCH_SIZE} if name == BATCHED else {})
            found |= take_turns(work, repeats=repeats, warm_up=False)
    corpus = "of the example call" if bench.corpus is None else f"of {'/'.join(bench.corpus.resolve().parts[-2:])}"
    rows = {name: row(timed) for name, timed in found.items()}
    return {"files": len(paths), "corpus": corpus, "batch_size": BATCH_SIZE, "contenders": rows}


def hour(bench: Bench) -> dict[str, Any]:
    """A long file, with 15 s clips before and after it in the same processes."""
    short = str(write_wav(bench.folder / "15.wav", 15))
    long = str(write_wav(bench.folder / "hour.wav", bench.hour_s))
    rows: dict[str, Any] = {}
    with bench.contenders(*bench.precisions) as contenders:

        def turns(source: str, repeats: int, warm_up: bool = True) -> dict[str, Timed]:
            work = {name: (contender, {"do": "clip", "source": source}) for name, contender in contenders.items()}
            return take_turns(work, repeats=repeats, warm_up=warm_up)

        before, found, after = turns(short, bench.repeats), turns(long, 1, warm_up=False), turns(short, bench.repeats)
    for name, timed in found.items():
        times = before[name].times_s + after[name].times_s
        rows[name] = row(timed) | {"short_times_s": times}
        rows[name].pop("segments_s", None)  # hundreds
        if timed.median_s and times:
            rows[name]["rtf"] = timed.median_s / bench.hour_s
            rows[name]["rtf_over_short"] = rows[name]["rtf"] / (statistics.median(times) / 15)
    if bench.funasr_hour:
        with bench.contenders(FUNASR) as contenders:
            # Better an error than a machine that kills what it likes.
            contenders[FUNASR].ask("limit", bytes=available_bytes())
            rows[FUNASR] = row(turns(long, 1, warm_up=False)[FUNASR])
    return {"audio_s": bench.hour_s, "contenders": rows}


def cold(bench: Bench) -> dict[str, Any]:
    """Whole processes, one after the other, in turns. Work done once in a lifetime was done by a start before."""
    wav = str(write_wav(bench.folder / "5.wav", 5))
    threads = str(bench.threads)
    ours = ["emotion", wav, "-q", "--format", "jsonl", "--threads", threads]
    python = [sys.executable, "-W", "ignore"]
    commands = {FUNASR: [*python, "-c", FUNASR_ONCE, bench.checkpoint, threads, wav]}
    for precision in bench.precisions:
        model = ["--model", bench.checkpoint, "--precision", precision]
        commands[precision] = [*python, "-m", "overtone", *ours, *model]
    commands["tiny"] = [*python, "-m", "overtone", *ours]
    commands["tiny, no torch"] = [*python, "-c", WITHOUT_TORCH, *ours]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(bench.repeats + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            seconds = time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(f"{name}: exit code {done.returncode}: {done.stderr[-1000:]}")
            if turn:
                times[name].append(seconds)
    found = {name: {"median_s": statistics.median(some), "times_s": some} for name, some in times.items()}
    starts = {bench.shape: {name: found[name] for name in (FUNASR, *bench.precisions)}}
    starts |= {name: {"fp32": found[name]} for name in ("tiny", "tiny, no torch")}
    return {"starts": starts}


WORKS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "clips": clips,
    "folder": folder,
    "hour": hour,
    "cold": cold,
    "rate": rate,
}


def prepared(bench: Bench) -> dict[str, Any]:
    """Convert beforehand; the seconds that took, next to none where a kept folder has it already."""
    seconds = {name: child(CONVERT, model=bench.checkpoint, precision=name)["seconds"] for name in ("fp32", "int8")}
    print("converted:", {name: f"{value:.1f} s" for name, value in seconds.items()}, flush=True)
    return seconds


def main() -> None:
    """Measure, print and save."""
    from overtone.backends.openvino.compiled_model import has_fast_bf16

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORKS, default=[name for name in WORKS if name != "rate"])
    parser.add_argument("--shape", choices=("base", "large", "small"), default="base")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--corpus", type=Path, help="a folder of short .wav files; else clips of the example call")
    parser.add_argument(
        "--funasr-hour", action="store_true", help="try FunASR on the hour too, with all memory there is"
    )
    parser.add_argument(
        "--keep", type=Path, help="keep checkpoint, conversions and clips here, and take them from here"
    )
    parser.add_argument("--clips-s", type=int, nargs="+", default=list(CLIP_TARGETS), help="seconds of the clips")
    parser.add_argument("--files", type=int, default=400, help="files of the folder")
    parser.add_argument("--hour-s", type=int, default=3600, help="seconds of the hour")
    given = parser.parse_args()
    reason = None if has_fast_bf16() else "this processor has no fast bf16"
    precisions = tuple(name for name in PRECISIONS if name != "bf16" or reason is None)
    if reason is not None:
        print(f"bf16 is left out: {reason}")
    name = "vs_funasr" if given.shape == "base" else f"vs_funasr_{given.shape}"
    machine = hardware()
    measured = {key: value for key, value in machine.items() if key not in ("system", "features")}
    kept = RESULTS / f"{name}.json"
    figures = json.loads(kept.read_text(encoding="utf-8"))["figures"] if kept.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.keep or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        os.environ["OVERTONE_CACHE"] = str(place / "cache")  # of this process and its children
        bench = Bench(
            place,
            given.shape,
            given.repeats,
            given.corpus,
            given.funasr_hour,
            tuple(sorted(given.clips_s)),
            given.files,
            given.hour_s,
            precisions,
            usable_cpus(),
        )
        common = {
            "measured": measured,
            "repeats": given.repeats,
            "conversion_s": prepared(bench),
            "bf16_left_out": reason,
        }
        for work in given.work:
            try:
                now = {work: WORKS[work](bench) | common}
            except WorkerDied as error:
                print(f"{work}: {error}", file=sys.stderr)
                continue
            if work == "clips":  # which have a rate of the same moments
                figures.pop("rate", None)
            # Saved after each, so that what follows may fail.
            figures = merged(figures, now)
            tables = [table for table in (table_of(figures), fractions_of(figures)) if len(table) > 1]
            command = f"python bench/vs_funasr.py --shape {given.shape}"
            if given.corpus is not None:
                command += f" --corpus {'/'.join(given.corpus.parts[-2:])}"  # and no folder of this machine
            save(name, figures, *tables, command=command, packages=["funasr"])
            if work == "clips":
                draw(figures, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
