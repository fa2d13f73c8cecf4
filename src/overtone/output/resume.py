"""Resuming: the inputs an earlier run already wrote to a .jsonl, so that a killed run goes on where it was.

Only finished work counts. A half-written last line, failed inputs and inputs with channels missing are taken
out of the file, so that doing them again leaves every input in it once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from overtone.errors import Code, UsageError
from overtone.output.formats.output_file import replacing
from overtone.output.json_text import parse_json
from overtone.output.records import DETAILS
from overtone.wording import param

WHOLE_LINE_BYTES = 4 << 20
"""Longer lines (frames of hours) are not parsed as a whole but only at both ends."""

END_BYTES = 64 << 10
"""Bytes of each end of a long line that are read; all that names the input and the run lies within."""

COPY_BYTES = 1 << 20

_OPENING = b'{"source": "'
_EMOTION_STARTS = b', "label": '
_TRANSCRIPT_STARTS = b', "text": "'
_TAIL_STARTS = b', "model": "'
_POOLED = b', "pooled": '

_IF_THERE: dict[str, type] = {
    "id": str,
    "channel": int,
    "channels": int,
    "scores": dict,
    "models": dict,
    "sentences": list,
}
"""Types of what not every record has, and which may be null."""


def key_of(source: str, utt_id: str | None = None) -> str:
    """Key of an input for a resumed run: its source, and its id if it has one.

    `./a.wav` and `a.wav` are the same source; a source with a scheme (`https://`) is taken as it is.
    """
    if source != "-" and "://" not in source:
        source = os.path.normpath(source)
    # No file name contains NUL, so an id can never read as part of a source.
    return source if utt_id is None else f"{utt_id}\0{source}"


def run_identity(
    model: str,
    precision: str,
    granularity: str,
    *,
    channels: str | None = None,
    labels: Sequence[str] | None = None,
    models: Mapping[str, str] | None = None,
    options: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, str]:
    """The identity of a run by name, as far as it is given: two runs that differ in it do not go into one output.

    granularity: says also whether emotions or transcripts come. channels: `mix` or `split`. models: a transcript's
    other models. options: those that change answers, by name; a `.jsonl` does not say them, so side files alone are
    held to them.
    """
    task = "transcription" if granularity in DETAILS else "emotion"
    identity = {"task": task, "model": model, "precision": precision, "granularity": granularity}
    if channels is not None:
        identity["channels"] = channels
    if labels is not None:
        identity["labels"] = ", ".join(labels)
    if models is not None:
        identity["models"] = _listed(models)
    return identity | {name: str(value) for name, value in options.items()}


def resume_from(path: str, run: Mapping[str, str], formerly: Mapping[str, str] = MappingProxyType({})) -> set[str]:
    """The keys (`key_of`) of the inputs that `path` holds in full; an empty set where there is no file.

    The file is rewritten, and replaced at once, only if there is something to take out: a half-written last
    line, failed inputs, channels of an input that are not all there, second lines for one input. Memory does
    not grow with the length of a line.

    - `run`: the run that goes on, as `run_identity` has it.
    - `formerly`: names of today for those that models have in records of earlier releases, which were the folders'
      paths.

    UsageError, with the file untouched: records of another run (labels are not looked for in very long lines), and of
    emotions as earlier versions wrote them;
    transcripts where emotions are to come, or the other way round; lines that are no records of Overtone, named by
    number.
    """
    if not os.path.exists(path):
        return set()
    if not os.path.isfile(path):
        raise UsageError(f"{path} is not a file, so no run can be resumed from it; use another -o")
    journal = _Journal()
    for line in _lines(path):
        record = _parse(line, path)
        if record is None:
            journal.drop(line)
        else:
            _check(_with_names(record, formerly), run, path, line.number)
            journal.add(record, line)
    _take_out(path, journal.dropped())
    return journal.done


@dataclass(slots=True)
class _Line:
    """Bytes `start <= i < stop` of the file. `text`: all of a line, or both ends of a long one."""

    number: int
    start: int
    stop: int
    text: bytes
    tail: bytes | None
    ended: bool
    last: bool = False


@dataclass(slots=True)
class _Journal:
    """Index of a file: the inputs that are complete, and the stretches that are to go."""

    done: set[str] = field(default_factory=set)
    _channels: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    _dropped: list[tuple[int, int]] = field(default_factory=list)

    def drop(self, line: _Line) -> None:
        self._dropped.append((line.start, line.stop))

    def add(self, record: dict[str, Any], line: _Line) -> None:
        key = key_of(record["source"], record.get("id"))
        channel, channels = record.get("channel"), record.get("channels")
        if key in self.done or record["error"] is not None:
            self.drop(line)
        elif channel is None or channels is None:
            self.done.add(key)
        else:
            found = self._channels.setdefault(key, {})
            if channel in found:
                self.drop(line)
            else:
                found[channel] = (line.start, line.stop)
            if len(found) == channels:
                self.done.add(key)
                del self._channels[key]

    def dropped(self) -> list[tuple[int, int]]:
        """Stretches to take out, in order."""
        unfinished = [stretch for found in self._channels.values() for stretch in found.values()]
        return sorted(self._dropped + unfinished)


def _lines(path: str) -> Iterator[_Line]:
    """The lines of a file, each known to be the last or not, a long one by its two ends only."""
    before: _Line | None = None
    with open(path, "rb") as file:
        number = start = 0
        while text := file.readline(WHOLE_LINE_BYTES):
            number += 1
            tail = None
            end = text
            while not end.endswith(b"\n") and (more := file.readline(END_BYTES)):
                # Two pieces, as the last one alone may be a few bytes.
                tail = (end[-END_BYTES:] + more)[-2 * END_BYTES :]
                end = tail
            stop = file.tell()
            if before is not None:
                yield before
            head = text if tail is None else text[:END_BYTES]
            before = _Line(number, start, stop, head, tail, end.endswith(b"\n"))
            start = stop
    if before is not None:
        before.last = True
        yield before


def _parse(line: _Line, path: str) -> dict[str, Any] | None:
    """The record of a line; None for a line to take out: blank, or the last one and half written."""
    text = line.text.strip(b"\0 \t\r\n")  # a crashed machine may leave NULs
    if not text and line.tail is None:
        return None
    half_written = line.last and _OPENING.startswith(text[: len(_OPENING)])
    if half_written and not line.ended:
        return None
    try:
        record = parse_json(text) if line.tail is None else _both_ends(text, line.tail)
    except ValueError as error:
        if half_written:
            return None
        raise UsageError(
            f"{path}, line {line.number}: not a JSON line ({error}); a record of Overtone is expected. The file was "
            "left as it is; mend or remove that line, or use another -o.",
            code=Code.BROKEN_JOURNAL,
        ) from error
    if not _is_record(record):
        raise UsageError(
            f"{path}, line {line.number}: not a record of Overtone, which is an object with a source, a model and an "
            "error. The file was left as it is; use another -o.",
            code=Code.BROKEN_JOURNAL,
        )
    return dict(record)


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or "error" not in record:
        return False
    if not all(isinstance(record.get(key), str) for key in ("source", "model", "precision")):
        return False
    if not all(record.get(key) is None or isinstance(record[key], kind) for key, kind in _IF_THERE.items()):
        return False
    return isinstance(record.get("models", {}), dict) and all(
        isinstance(item, dict) for item in record.get("sentences") or ()
    )


def _both_ends(head: bytes, tail: bytes) -> dict[str, Any]:
    """A record without its content, but with the keys that show its granularity. ValueError if the ends do not look
    like a record's.

    Quotes inside JSON strings are escaped, so the marks are found only where they are keys.
    """
    starts = [at for at in (head.find(_EMOTION_STARTS), head.find(_TRANSCRIPT_STARTS)) if at >= 0]
    tail_start = tail.rfind(_TAIL_STARTS)
    if not starts or tail_start < 0:
        raise ValueError("a long line that does not begin and end as a record does")
    record: dict[str, Any] = parse_json(head[: min(starts)] + tail[tail_start:])
    content = tail[:tail_start]
    if "models" not in record:
        if _POOLED in head:
            record["pooled"] = None
        # The frames are an object, the segments before them an array.
        return record | ({"segments": []} if content.endswith(b"]") else {"segments": [], "frames": None})
    if not content.endswith(b"]"):
        return record
    # The words are an array at the end of each sentence.
    return record | {"sentences": [{"words": []} if content.endswith(b"]}]") else {}]}


def _with_names(record: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The record with the names that its models have now."""
    renamed = record | {"model": names.get(record["model"], record["model"])}
    if "models" in record:
        renamed["models"] = {role: names.get(name, name) for role, name in record["models"].items()}
    return renamed


def _check(record: dict[str, Any], wanted: Mapping[str, str], path: str, number: int) -> None:
    # Only transcripts name what else was used, failed ones as well.
    task = "transcription" if "models" in record else "emotion"
    found = {"task": task, "model": record["model"], "precision": record["precision"]}
    if task == "transcription":
        found["models"] = _listed(record["models"])
    if record["error"] is None:  # a failed input has nothing to tell its granularity by
        if task == "emotion" and "pooled" not in record:
            raise UsageError(
                f"{path}, line {number}, was written by an earlier version of Overtone, whose label and scores were "
                f"those of the mean frame; use another -o, or {param('overwrite')} in the place of {param('resume')}.",
                code=Code.OTHER_RUN,
            )
        found["granularity"] = _granularity(record, task, wanted["granularity"])
        found["channels"] = "mix" if record.get("channel") is None else "split"
        if record.get("scores"):
            found["labels"] = ", ".join(record["scores"])
    for key, value in found.items():
        if value != wanted.get(key, value):
            raise UsageError(
                f"{path}, line {number}, is of {key} {value}, and this run of {key} {wanted[key]}; "
                f"use another -o, or the same {key}.",
                code=Code.OTHER_RUN,
            )


def _granularity(record: dict[str, Any], task: str, wanted: str) -> str:
    """Granularity of a record. One without any sentence is as fine as is wanted: there are no words in it to miss."""
    if task == "emotion":
        return "frame" if "frames" in record else "segment" if "segments" in record else "utterance"
    if record.get("sentences") is None:
        return "text"
    if record["sentences"]:
        return "word" if "words" in record["sentences"][0] else "sentence"
    return "sentence" if wanted == "text" else wanted


def _listed(models: Mapping[str, str]) -> str:
    return ", ".join(f"{role} {name}" for role, name in sorted(models.items())) or "none"


def _take_out(path: str, stretches: list[tuple[int, int]]) -> None:
    if not stretches:
        return
    with replacing(path) as new, open(path, "rb") as old:
        at = 0
        for start, stop in [*stretches, (os.path.getsize(path), 0)]:
            old.seek(at)
            left = start - at
            while left > 0 and (data := old.read(min(left, COPY_BYTES))):
                new.write(data)
                left -= len(data)
            at = stop
        shutil.copymode(path, new.name)
