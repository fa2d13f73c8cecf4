"""The measurements of `peers.py`: material, contenders made ready, and works that they do in turns."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common import base_checkpoint, child, speech, write_wav
from overtone.tools.benchmark import BenchmarkWorker, Timed, WorkerDied, take_turns
from peers_contenders import OVERTONE, Contender, contenders, process
from transcribe_material import checkpoint, write_pieces

Figures = dict[str, Any]

FAMILIES = ("emotion2vec", "sensevoice", "paraformer")
SHORT_S, WORDS_S, CALIBRATION_S = (1.0, 5.0), (3.0, 12.0), 5.0
"""Seconds of the files of a folder, of emotion and of words; of each file that the static 8 bits are calibrated on."""

GROUPS = 4
"""Parts of a folder, taken in turn, so that a busy moment hits all contenders; their spread is shown."""

COMPILED_S = 5
"""Seconds of the one length that what compiles for each length is measured at."""

EXPORT = """
from peers_exports import make
make(**arguments)
answer()
"""


@dataclass(frozen=True)
class Work:
    """Commands that each contender does in turn, and the seconds of audio of each. The first also warms up."""

    name: str
    commands: Sequence[dict[str, Any]]
    audio_s: Sequence[float]


@dataclass(frozen=True)
class Bench:
    """Amounts, and where things are. `kept`: checkpoints, exports and conversions; `size`: published or small.
    `failed`: families whose export failed, and why."""

    place: Path
    kept: Path
    size: str
    threads: int
    bf16: bool
    repeats: int = 4
    clips_s: tuple[int, ...] = (3, 5, 15, 30)
    files: int = 100
    word_clips: int = 8
    word_clip_s: float = 10.0
    word_files: int = 30
    compiled: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    def checkpoint(self, family: str) -> str:
        """The folder of a checkpoint with seeded weights, made at first."""
        if family == "emotion2vec":
            shape = "base" if self.size == "published" else "small"
            return str(base_checkpoint(self.kept / f"emotion2vec-{shape}", shape))
        name = "plain-paraformer" if family == "paraformer" else family
        return checkpoint(self.kept, name, self.size, self.threads)

    def export(self, family: str) -> Path:
        """The peers' graphs of it, made at first. RuntimeError with the last words of what failed."""
        made = self.kept / f"{family}-{self.size}-peers"
        if family in self.failed:
            raise RuntimeError(self.failed[family])
        if not made.is_dir():
            given: dict[str, Any] = {}
            if family == "emotion2vec":
                lengths = [CALIBRATION_S] * 4
                given["wavs"] = [str(path) for path in write_pieces(self.place / "calibration", [speech()], lengths)]
            model = self.checkpoint(family)
            try:
                child(EXPORT, name=family, model=model, folder=str(made), threads=self.threads, **given)
            except RuntimeError as error:
                self.failed[family] = f"its export failed: {error}"
                raise
        return made

    def works(self, family: str) -> list[Work]:
        """Clips one by one, then a folder."""
        if family == "emotion2vec":
            paths = [write_wav(self.place / f"{seconds}.wav", seconds) for seconds in self.clips_s]
            return [
                *(
                    Work(f"{seconds} s clip", [_clip(path)] * self.repeats, [float(seconds)] * self.repeats)
                    for seconds, path in zip(self.clips_s, paths, strict=True)
                ),
                self._folder("short", SHORT_S, self.files),
            ]
        seconds = self.word_clip_s
        paths = write_pieces(self.place / "clips", [speech()], [seconds] * self.word_clips)
        clips = Work(f"{seconds:g} s clip", list(map(_clip, paths)), [seconds] * len(paths))
        return [clips, self._folder("words", WORDS_S, self.word_files)]

    def _folder(self, name: str, between_s: tuple[float, float], count: int) -> Work:
        lengths = np.random.default_rng(0).uniform(*between_s, count).tolist()
        paths = write_pieces(self.place / name, [speech()], lengths)
        groups = [range(count)[first::GROUPS] for first in range(min(GROUPS, count))]
        commands = [{"do": "folder", "inputs": [str(paths[index]) for index in group]} for group in groups]
        title = f"{count} files of {between_s[0]:g} to {between_s[1]:g} s"
        return Work(title, commands, [sum(lengths[index] for index in group) for group in groups])


def _clip(path: Path) -> dict[str, Any]:
    return {"do": "clip", "source": str(path)}


def measure(bench: Bench, family: str) -> Figures:
    """All works of a family by all contenders that can be had. `left_out`: the others, and why."""
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        started: dict[str, tuple[Contender, BenchmarkWorker]] = {}
        for contender in contenders(family, bf16=bench.bf16, compiled=bench.compiled):
            try:
                started[contender.name] = contender, _started(bench, family, contender, stack)
            except (WorkerDied, RuntimeError) as error:
                left_out[contender.name] = " ".join(str(error).split())[-300:]
                print(f"{family}: {contender.name} is left out: {left_out[contender.name]}", file=sys.stderr)
        works = {work.name: _taken(work, started, bench) for work in bench.works(family)}
    labels = {name: contender.label() for name, (contender, _) in started.items()}
    beside = {name: f"{OVERTONE}, {contender.precision}" for name, (contender, _) in started.items()}
    return {"works": works, "labels": labels, "beside": beside, "left_out": left_out}


def prepare(bench: Bench, family: str) -> None:
    """Make all that is made once for a family: checkpoint, exports, conversions."""
    for contender in contenders(family, bf16=bench.bf16):
        with ExitStack() as stack:
            try:
                _started(bench, family, contender, stack)
            except (WorkerDied, RuntimeError) as error:
                print(f"{family}: {contender.name} cannot be had: {error}", file=sys.stderr)


def _started(bench: Bench, family: str, contender: Contender, stack: ExitStack) -> BenchmarkWorker:
    """Its process, the model loaded; of Overtone's not one in which a model was converted, which takes memory."""
    if reason := contender.missing():
        raise WorkerDied(reason)
    export = None if contender.file is None else bench.export(family)
    command = contender.load(bench.checkpoint(family), export, bench.threads)
    if contender.package == OVERTONE:
        with process(contender) as before:
            before.ask(**command)
    found = stack.enter_context(process(contender))
    loaded = found.ask(**command)
    print(f"{family}: {contender.name} is ready after {loaded['seconds']:.1f} s", flush=True)
    return found


def _taken(work: Work, started: Mapping[str, tuple[Contender, BenchmarkWorker]], bench: Bench) -> Figures:
    """A work by all in turn, as a row for each; of one that failed in any turn only the reason."""
    fit = {
        name: worker
        for name, (contender, worker) in started.items()
        if not contender.one_length or work.name == f"{COMPILED_S} s clip"
    }
    turns: dict[str, list[Timed]] = {name: [] for name in fit}
    for number, command in enumerate(work.commands):
        left = {name: (worker, command) for name, worker in fit.items() if not any(t.error for t in turns[name])}
        for name, timed in take_turns(left, repeats=1, warm_up=number == 0).items():
            turns[name].append(timed)
    rows = {name: row(some, work.audio_s) for name, some in turns.items()}
    shown = {name: found["median_s"] or found["error"] for name, found in rows.items()}
    print(f"{work.name}, {bench.threads} threads: {shown}", flush=True)
    return {"audio_s": list(work.audio_s), "contenders": rows}


def row(turns: Sequence[Timed], audio_s: Sequence[float]) -> Figures:
    """Turns of one contender: their seconds, the peak of its memory so far, and what it answered."""
    error = next((timed.error for timed in turns if timed.error), None)
    if error is not None or not turns:
        return {"times_s": [], "median_s": None, "peak_bytes": None, "error": error}
    times = [timed.times_s[0] for timed in turns]
    assert len(times) == len(audio_s)
    answers = [{key: timed.answer[key] for key in ("scores", "text") if key in timed.answer} for timed in turns]
    median = statistics.median(times)
    return {"times_s": times, "median_s": median, "peak_bytes": turns[-1].peak_bytes, "error": None, "answers": answers}
