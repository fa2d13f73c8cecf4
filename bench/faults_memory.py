"""Memory of odd mixes: each in a fresh process, watched from outside with all its children.

Each is run with the smallest budget that is said to do: the refusal of `--memory 1MiB` names it.
"""

from __future__ import annotations

import json
import re
import sys
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import base_checkpoint, prepare, speech, write_clips, write_wav
from faults_trial import Trial
from overtone.system.memory import parse_size
from process_tree import TreeRun, run_observed

_REFUSALS = 4
"""Refusals that may come before a run does, each with a number: of the start, and of a file, as far as it was read."""

_WOULD_DO = re.compile(r"--memory (\d+[KMG]iB)")

_SEVERAL_PIPELINES = """
import sys, threading
from overtone import EmotionRecognizer, expand
memory, *inputs = sys.argv[1:]
recognizers = [EmotionRecognizer("tiny", memory=memory) for _ in range(3)]
failed = []
def run(recognizer):
    try:
        for result in recognizer.stream(expand(inputs)):
            if not result.ok:
                failed.append(result.error)
    except BaseException as error:
        failed.append(error)
threads = [threading.Thread(target=run, args=(one,)) for one in recognizers]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for recognizer in recognizers:
    recognizer.close()
for error in failed:
    print(error, file=sys.stderr)
sys.exit(1 if failed else 0)
"""


def memory_mixes(folder: Path) -> Iterator[Trial]:
    """A trial for each mix; `folder` is for its files."""
    hour = write_wav(folder / "hour.wav", 3600)
    ten_minutes = write_wav(folder / "ten_minutes.wav", 600)
    many_channels = _write_channels(folder / "channels64.wav", 64, 16_000, 60)
    wide = _write_channels(folder / "rate192k.wav", 2, 192_000, 120)
    clips = write_clips(folder / "clips", 300)
    mixed = folder / "mixed"
    mixed.mkdir()
    for source in (hour, *clips[:200], wide):
        (mixed / source.name).symlink_to(source)
    base = str(base_checkpoint(folder / "base"))
    prepare(model=base, memory="2GiB")
    mixes = (
        _Mix("64 channels, each for itself", "60 s, --channels split", [many_channels], ["--channels", "split"], 64),
        _Mix("192 kHz", "2 min, two channels", [wide]),
        _Mix("frames with embeddings", "1 h", [hour], ["--granularity", "frame", "--embeddings", str(folder / "npz")]),
        _Mix("whole context", "10 min, --context full", [ten_minutes], ["--context", "full"]),
        _Mix("an hour between clips", "202 files", [mixed], records=202),
        _Mix("base shape", "10 min", [ten_minutes], ["--model", base]),
        _Mix("base shape, clips", "300 files", [folder / "clips"], ["--model", base], records=300),
    )
    for mix in mixes:
        yield _run(folder, mix)
    # Each of the three has its budget of the same process, so the least that one is given is too little for three.
    budget = "768MiB"
    several = run_observed([sys.executable, "-c", _SEVERAL_PIPELINES, budget, str(folder / "clips")])
    yield _trial("three pipelines in a process", "900 clips", several, (), budget)


@dataclass(frozen=True)
class _Mix:
    """A command to run, and the number of records that it has to give."""

    name: str
    tried: str
    inputs: Sequence[Path]
    options: Sequence[str] = ()
    records: int = 1


def _run(folder: Path, mix: _Mix) -> Trial:
    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "overtone", "emotion", *map(str, mix.inputs), "-o", str(out), "--quiet"]
    command += mix.options
    budget, run = "1MiB", run_observed([*command, "--memory", "1MiB"])
    # The start is refused with a number, and then the file, where it needs more than a plain one.
    for _ in range(_REFUSALS):
        found = _WOULD_DO.search(run.stderr_tail)
        if run.returncode == 0 or found is None:
            break
        budget = found[1]
        out.unlink(missing_ok=True)
        run = run_observed([*command, "--memory", budget])
    return _trial(mix.name, mix.tried, run, _missing(out, mix.records), budget)


def _missing(out: Path, records: int) -> tuple[str, ...]:
    if not out.exists():
        return ("no output",)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    lost = [f"{line['source']}: {line['error']}" for line in lines if line["error"]]
    if len(lines) != records:
        lost.append(f"{len(lines)} records of {records}")
    return tuple(lost)


def _trial(name: str, tried: str, run: TreeRun, lost: tuple[str, ...], budget: str) -> Trial:
    ended = () if run.returncode == 0 else (f"exit code {run.returncode}: {run.stderr_tail.strip()[-300:]}",)
    return Trial(name, tried, (*ended, *lost), run.peak_bytes, parse_size(budget))


def _write_channels(path: Path, channels: int, rate: int, seconds: int) -> Path:
    """A 16-bit file of the example call in every channel, each begun a second later, at any rate."""
    mono = np.repeat(speech(), max(1, rate // 16_000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        for second in range(seconds):
            block = [
                np.take(mono, np.arange(rate) + (second + channel) * rate, mode="wrap") for channel in range(channels)
            ]
            file.writeframes((np.stack(block, axis=1) * 32767).astype("<i2").tobytes())
    return path
