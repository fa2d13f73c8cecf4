"""Records written in another form: tables, subtitles, text."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from overtone.errors import UsageError
from overtone.output.formats import Sink, open_sink
from overtone.output.record_reader import parse_record
from overtone.output.records import Level

Form = Literal["parquet", "csv", "srt", "vtt", "txt"]

TIMELINES: tuple[Form, ...] = ("srt", "vtt", "txt")
"""Forms that hold one file's timeline."""


def convert_records(
    pieces: Iterable[bytes],
    form: Form,
    level: Level,
    labels: Sequence[str],
    lock: AbstractContextManager[object] | None = None,
) -> Generator[bytes, None, None]:
    """Records, JSON lines in pieces, in another form in pieces, made as they are taken: it needs no disk.

    level: how fine the records are. lock: held while a record is read back and written, of which one of many frames
    takes much memory. UsageError, before the first piece, where pyarrow is needed and not installed, and for a timeline
    of more than one record, or of one without a timeline.
    """
    if form in TIMELINES and level in ("utterance", "text"):
        raise UsageError(f"it was asked for without a timeline, which {form} is made of; take JSON lines.")
    lines = _lines(pieces)
    # Now, as what is wrong with the first of them can still be told with a status.
    first = list(itertools.islice(lines, 2))
    if len(first) > 1 and form in TIMELINES:
        raise UsageError(f"{form} holds one timeline; say of which file with `file`, or take JSON lines.")
    made = io.BytesIO()
    sink = open_sink(made, granularity=level, labels=labels, format=form, many=form not in TIMELINES)
    return _converted(itertools.chain(first, lines), sink, made, lock or nullcontext())


def _converted(
    lines: Iterable[bytes], sink: Sink, made: io.BytesIO, lock: AbstractContextManager[object]
) -> Generator[bytes, None, None]:
    with sink:
        for line in lines:
            with lock:
                sink.write(parse_record(json.loads(line)))
            yield from _taken(made)
    yield from _taken(made)


def _taken(made: io.BytesIO) -> Iterator[bytes]:
    """The bytes written since the last time."""
    if data := made.getvalue():
        made.seek(0)
        made.truncate()
        yield data


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, joined once each however many pieces they came in."""
    begun: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun)
            begun = [other]
    if last := b"".join(begun):
        yield last
