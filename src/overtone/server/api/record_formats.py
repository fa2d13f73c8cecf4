"""Records written in another form: tables, subtitles, text."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from overtone.errors import UsageError
from overtone.output.formats import open_sink
from overtone.output.record_reader import parse_record
from overtone.output.records import Level
from overtone.system.files import iter_chunks

Form = Literal["parquet", "csv", "srt", "vtt", "txt"]

TIMELINES: tuple[Form, ...] = ("srt", "vtt", "txt")
"""Forms that hold one file's timeline."""


def convert_records(
    pieces: Iterable[bytes], path: Path, form: Form, level: Level, labels: Sequence[str]
) -> Generator[bytes, None, None]:
    """Records, JSON lines in pieces, in another form in pieces. It is made before this returns, and unnamed after.

    path: where it is made. level: how fine the records are. UsageError where pyarrow is needed and not installed, and
    for a timeline of more than one record, or of one without a timeline.
    """
    if form in TIMELINES and level in ("utterance", "text"):
        raise UsageError(f"it was asked for without a timeline, which {form} is made of; take JSON lines.")
    try:
        with open_sink(str(path), granularity=level, labels=labels, format=form, many=form not in TIMELINES) as sink:
            for at, line in enumerate(_lines(pieces)):
                if at and form in TIMELINES:
                    raise UsageError(f"{form} holds one timeline; say of which file with `file`, or take JSON lines.")
                sink.write(parse_record(json.loads(line)))
        # Of a file without an answer there is no timeline.
        return iter_chunks(open(path, "rb")) if path.exists() else _nothing()
    finally:
        path.unlink(missing_ok=True)


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


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
