"""Figures of `transcribe.py` as tables and as notes."""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import Table, mib

Figures = Mapping[str, Any]

FUNASR = "funasr"
WITHOUT_TIMES = "funasr, no times"

TARGETS = {"fp32": 1.5, "int8": 4.0}
"""FunASR's time over Overtone's, on a CPU."""
MEMORY_TARGET = 1.1
TIME_TARGET, RESIDENT_TARGET = 0.05, 0.03

_TITLES = {"clips": "{pieces} clips of {piece_s:g} s, one by one", "files": "{pieces} files of 3 to 12 s, a folder"}


def row(
    times_s: Sequence[float], audio_s: Sequence[float], theirs: tuple[Sequence[float], Sequence[float]] | None
) -> dict[str, Any]:
    """Turns of one contender as figures. `theirs`: times and seconds of audio of FunASR's turns.

    `rtf`: seconds per second of audio, over all turns; `rtfs`: of each turn. `ratio`: FunASR's over this one's, the
    median of turns, each beside the turn of FunASR's that came just before; None where that has not finished all of
    them.
    """
    found: dict[str, Any] = {"times_s": list(times_s), "rtf": None, "median_s": None, "ratio": None}
    if not times_s:
        return found
    found |= {"rtf": sum(times_s) / sum(audio_s[: len(times_s)]), "median_s": statistics.median(times_s)}
    found["rtfs"] = [seconds / length for seconds, length in zip(times_s, audio_s, strict=False)]
    if theirs is not None and len(theirs[0]) == len(times_s):
        ours = [seconds / length for seconds, length in zip(times_s, audio_s, strict=True)]
        others = [seconds / length for seconds, length in zip(*theirs, strict=True)]
        found["ratio"] = statistics.median(other / own for own, other in zip(ours, others, strict=True))
    return found


def alike(some: Sequence[str], others: Sequence[str]) -> float | None:
    """Similarity of two lots of texts, 0 to 1, the mean over those texts; None without any."""
    both = list(zip(some, others, strict=False))
    if not both:
        return None
    return statistics.mean(difflib.SequenceMatcher(None, *pair, autojunk=False).ratio() for pair in both)


def of_funasr(figures: Figures) -> Table:
    """Each part as a row: seconds (of a clip, or of all), seconds per second of audio, the ratio, the peak."""
    names = _precisions(figures)
    rows: list[tuple[str, ...]] = [("work", "FunASR", *names, f"target, {' / '.join(TARGETS)}")]
    target = " / ".join(f"≥ {ratio:g} ×" for ratio in TARGETS.values())
    on_cpu = all(found["device"] == "cpu" for _, _, found in _parts(figures))
    for model, part, found in _parts(figures):
        each = found["contenders"]
        title = f"{model}: {_title(part, found)}"
        cells = (_cell(each.get(name)) for name in (FUNASR, *names))
        rows.append((title, *cells, target if on_cpu else ""))
        if WITHOUT_TIMES in each:
            empty = ("",) * (len(names) + 1)
            rows.append(("the same, FunASR without times of words", _cell(each[WITHOUT_TIMES]), *empty))
    return rows


def of_texts(figures: Figures) -> Table:
    """Texts of each contender: characters per second of audio, and their similarity to FunASR's over clips."""
    names = _precisions(figures)
    rows: list[tuple[str, ...]] = [("characters per second of audio; alike to FunASR's", "FunASR", *names)]
    for model, part, found in _parts(figures):
        each = found["contenders"]
        rows.append((f"{model}: {_title(part, found)}", *(_written(each.get(name)) for name in (FUNASR, *names))))
    return rows


def of_memory(figures: Figures) -> Table:
    """The long file beside the short one."""
    rows: list[tuple[str, ...]] = [("memory", "audio", "time", "words", "peak", "long / short", "target")]
    for model, found in _named(figures, "memory"):
        for name in ("short", "long"):
            one = found[name]
            cells = (f"{one['audio_s'] / 3600:g} h", f"{one['wall_s']:.0f} s", str(one["words"]))
            end = (f"{found['ratio']:.3f}", f"≤ {MEMORY_TARGET:g}") if name == "long" else ("", "")
            rows.append((f"{model}, {found['what']}", *cells, mib(one["peak_bytes"]), *end))
    return rows


def of_steadiness(figures: Figures) -> Table:
    """The end of many calls beside their beginning."""
    within = f"time over fixed work ± {100 * TIME_TARGET:g} %, memory ± {100 * RESIDENT_TARGET:g} %"
    target = f"{within}, no thread, the same options"
    head = (
        *("steadiness", "calls", "median", "time", "fixed work", "time over fixed work", "memory", "threads"),
        *("options", "target"),
    )
    rows: list[tuple[str, ...]] = [head]
    for model, found in _named(figures, "steady"):
        drifts = (_drift(found, name) for name in ("times_s", "machine_s", "relative", "resident_bytes"))
        threads = f"{found['threads'][0]} → {found['threads'][-1]}"
        options = "the same" if found["same_options"] else "changed"
        median = f"{statistics.median(found['times_s']):.3f} s"
        name = f"{model}, {found['what']}"
        rows.append((name, str(len(found["times_s"])), median, *drifts, threads, options, target))
    return rows


def _drift(found: Figures, name: str) -> str:
    drift = found.get(f"{name}_drift")
    return "" if drift is None else f"{100 * drift:+.1f} %"


def tables(figures: Figures) -> list[Table]:
    """The tables that have any rows."""
    made = [of_funasr(figures), of_texts(figures), of_memory(figures), of_steadiness(figures)]
    return [table for table in made if len(table) > 1]


def notes(figures: Figures) -> str:
    """Notes on how it was measured, and on the differences from trained weights."""
    said = [
        "FunASR in fp32, through `AutoModel` with the same checkpoints. It and Overtone take turns, each in a "
        "process of its own, whose peak is told. Seconds of a clip are the median; the ratio is the median of "
        "turns, each beside FunASR's turn on the same audio. Both find speech with the FSMN-VAD, cut it after 30 s,"
        " tell the times of words, and write figures and marks.",
        "Weights are random, from a seed. A frame of audio, and a word that is punctuated, cost what they cost with"
        " trained weights; how many words there are and where speech is found is not what a trained model says. "
        "People say some 5 characters of Chinese or 12 letters of English a second, to be held against the "
        "characters above.",
        "For times of words FunASR aligns each stretch of SenseVoice's text with its audio; Overtone does where the "
        "text is spelled otherwise than the frames say it, which depends on the weights.",
        "Random weights decide by small margins: texts in bf16 and int8 differ more than those of trained ones.",
    ]
    said += sorted({note for found in figures.values() for note in found.get("notes", ())})
    return "\n".join(f"- {line}" for line in said) + "\n"


def _parts(figures: Figures) -> Iterator[tuple[str, str, Figures]]:
    for key, found in figures.items():
        if "contenders" in found:
            model, part = key.split()
            yield model, part, found


def _named(figures: Figures, part: str) -> Iterator[tuple[str, Figures]]:
    for key, found in figures.items():
        if key.split()[-1] == part:
            yield key.split()[0], found


def _precisions(figures: Figures) -> list[str]:
    every = (name for _, _, found in _parts(figures) for name in found["contenders"])
    return [name for name in dict.fromkeys(every) if name not in (FUNASR, WITHOUT_TIMES)]


def _title(part: str, found: Figures) -> str:
    if part != "hour":
        return _TITLES[part].format(**found)
    theirs = found.get("funasr_s", found["piece_s"])
    shorter = "" if theirs == found["piece_s"] else f" (FunASR: its first {theirs / 60:g} min)"
    return f"a file of {found['piece_s'] / 60:g} min{shorter}"


def _cell(found: Figures | None) -> str:
    if found is None:
        return ""
    if found["rtf"] is None:
        return "died" if "signal" in str(found.get("error")) else "failed"
    seconds = found["seconds"]
    parts = [f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s", f"RTF {found['rtf']:.4f}"]
    if len(rtfs := found.get("rtfs", ())) > 1:
        parts[-1] += f" ({min(rtfs):.4f}–{max(rtfs):.4f})"
    if found["ratio"] is not None:
        parts.append(f"{found['ratio']:.2f} ×")
    parts.append(mib(found["peak_bytes"]))
    if found.get("device_bytes"):
        parts.append(f"{mib(found['device_bytes'])} on the GPU")
    return ", ".join(parts)


def _written(found: Figures | None) -> str:
    if found is None or found.get("characters_per_s") is None:
        return ""
    same = "" if found.get("alike") is None else f"; {100 * found['alike']:.0f} %"
    return f"{found['characters_per_s']:.1f}{same}"
