"""Transcription beside FunASR's, turn by turn: clips, a folder of files, a long file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import transcribe_tables as tables
from overtone.tools.benchmark import BenchmarkWorker, Timed, take_turns
from transcribe_bench import Bench, Figures
from transcribe_material import write_long, write_pieces
from transcribe_tables import FUNASR, WITHOUT_TIMES


def clips(bench: Bench, model: str) -> Figures:
    """Clips one by one, each by every contender before the next."""
    given = bench.given
    paths = write_pieces(bench.place / "clips", bench.speech, [given.clip_s] * given.clips)
    commands = [{"do": "clip", "source": str(path)} for path in paths] * given.repeats
    with bench.contenders(model) as contenders:
        turns = take(contenders, commands, also_without_times=model == "sensevoice")
    rows = as_rows(turns, [given.clip_s] * len(commands))
    for found in rows.values():
        found["seconds"] = found["median_s"]
    return {"contenders": rows, "pieces": given.clips, "piece_s": given.clip_s}


def files(bench: Bench, model: str) -> Figures:
    """A folder to JSON lines, a group of its files at a time."""
    lengths = np.random.default_rng(0).uniform(3, 12, bench.given.files)
    paths = write_pieces(bench.place / "files", bench.speech, lengths.tolist())
    groups = [list(range(len(paths)))[start :: bench.given.groups] for start in range(bench.given.groups)]
    output = str(bench.place / "out.jsonl")
    commands = [
        {"do": "folder", "inputs": [str(paths[index]) for index in group], "output": output} for group in groups
    ]
    with bench.contenders(model) as contenders:
        turns = take(contenders, commands)
    rows = as_rows(turns, [float(lengths[group].sum()) for group in groups])
    return {"contenders": rows, "pieces": len(paths), "piece_s": float(lengths.mean())}


def hour(bench: Bench, model: str) -> Figures:
    """A long file; FunASR may be given its beginning only."""
    ours_s = bench.given.hour_s
    theirs_s = min(bench.given.funasr_hour_s, ours_s)
    long = {"do": "clip", "source": str(write_long(bench.place / "long.wav", bench.speech, ours_s))}
    begun = {"do": "clip", "source": str(write_long(bench.place / "begun.wav", bench.speech, theirs_s))}
    with bench.contenders(model) as contenders:
        turns = take({FUNASR: contenders[FUNASR]}, [begun])
        turns |= take({name: process for name, process in contenders.items() if name != FUNASR}, [long])
    rows = as_rows(turns, [ours_s], theirs_s=None if theirs_s == ours_s else [theirs_s])
    return {"contenders": rows, "pieces": 1, "piece_s": ours_s, "funasr_s": theirs_s}


def take(
    contenders: Mapping[str, BenchmarkWorker], commands: Sequence[dict[str, Any]], *, also_without_times: bool = False
) -> dict[str, list[Timed]]:
    """Every command by every contender in turn."""
    kept: dict[str, list[Timed]] = {}
    for command in commands:
        work = {name: (process, command) for name, process in contenders.items()}
        if also_without_times:
            work[WITHOUT_TIMES] = (contenders[FUNASR], {**command, "times": False})
        for name, timed in take_turns(work, repeats=1, warm_up=False).items():
            kept.setdefault(name, []).append(timed)
            if timed.error is not None:
                print(f"{name}: {timed.error}", file=sys.stderr)
    return kept


def as_rows(
    turns: Mapping[str, Sequence[Timed]], audio_s: Sequence[float], *, theirs_s: Sequence[float] | None = None
) -> Figures:
    """Turns as figures, by contender; of one that failed in any of them only the reason.

    - `audio_s`: seconds of each turn.
    - `theirs_s`: of FunASR's, where they differ; then its texts are not compared.
    """
    errors = {name: next((timed.error for timed in some if timed.error), None) for name, some in turns.items()}
    done = {name: [] if errors[name] else list(some) for name, some in turns.items()}
    times = {name: [timed.times_s[0] for timed in some] for name, some in done.items()}
    texts = {name: [timed.answer.get("text", "") for timed in some] for name, some in done.items()}
    rows = {}
    for name, some in done.items():
        ours = name not in (FUNASR, WITHOUT_TIMES)
        own_s = audio_s if ours or theirs_s is None else theirs_s
        found = tables.row(times[name], own_s, (times[FUNASR], theirs_s or audio_s) if ours else None)
        found |= {"seconds": sum(times[name]), "error": errors[name]}
        if some:
            found["characters_per_s"] = sum(timed.answer["characters"] for timed in some) / sum(own_s)
            found |= {"peak_bytes": some[-1].peak_bytes, "device_bytes": some[-1].answer.get("device_bytes")}
        if ours and theirs_s is None and any(texts[name]):
            found["alike"] = tables.alike(texts[name], texts[FUNASR])
        rows[name] = found
        print(f"{name}: {found['seconds']:.1f} s, RTF {found['rtf']}, ratio {found['ratio']}", flush=True)
    return rows
