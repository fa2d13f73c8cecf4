"""The side file of a run: its finished results, kept beside an output that cannot be gone on with by itself.

    out.csv                  appears when the run ends
    out.csv.resume.jsonl     grows with every finished input, and is removed when none is left to do

A first line that says of what run it is; then, for each result, the lines of `result_codec.py` and one with their
checksum. A run that goes on writes its output anew from these results and from what was left to do, in the order of its
inputs, so the output is that of a run without a stop. Nothing is synced: what was written when a process is killed is
the system's to keep, and half a result at the end is cut off.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import BinaryIO

from overtone.errors import Code, UsageError
from overtone.output.formats.output_file import Target, map_write_errors
from overtone.output.json_text import parse_json
from overtone.output.result_codec import HEAD, PARTS, decode, encode
from overtone.output.resume import key_of
from overtone.results import Result
from overtone.wording import param

ENDING = ".resume.jsonl"
"""Ending of a side file, after the name of its output."""

_VERSION = 2

_OPENING = b'{"overtone": "resume", '

_END = b'{"end": '

_LONGEST_BYTES = 64 << 20
"""Bytes of a line, at most: the text of a transcript of many hours."""


class ResumeLog:
    """The finished results in the file at `path`. As a context manager it closes itself.

    - `run`: what the run is of (`resume.run_identity`).
    - `resume`: go on with the file that is there, if there is one; else it is begun anew.

    UsageError, with the file untouched: for one of another run, that is broken, or that is no side file.
    """

    def __init__(self, path: str, run: Mapping[str, str], *, resume: bool) -> None:
        self.path = path
        self.done: set[str] = set()
        """Keys (`key_of`) of the inputs whose results are all there."""
        self._finished = False
        self._places: dict[str, dict[int | None, tuple[int, int]]] = {}
        self._run = dict(run)
        self._target: Target | None = None
        self._end = self._read(run) if resume and os.path.exists(path) else 0
        with map_write_errors(path):
            if self._end:
                os.truncate(path, self._end)
            elif os.path.exists(path):
                os.unlink(path)

    def _read(self, run: Mapping[str, str]) -> int:
        """Index the file. The bytes of it that are whole; 0 for less than a first line."""
        try:
            with open(self.path, "rb") as file:
                first = file.readline(_LONGEST_BYTES)
                if not first.endswith(b"\n") and (_OPENING.startswith(first) or first.startswith(_OPENING)):
                    return 0
                self._check(first, run)
                return self._index(file)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"cannot read {self.path}: {reason}.", code=Code.BROKEN_JOURNAL) from error

    def _check(self, first: bytes, run: Mapping[str, str]) -> None:
        try:
            head = parse_json(first)
            version, found = head["version"], dict(head["run"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._broken(1, "it is not the side file of a run") from error
        if version != _VERSION:
            raise self._broken(1, "it was written by another version of Overtone")
        for key, value in run.items():
            if found.get(key) != value:
                raise UsageError(
                    f"{self.path} is of {key} {found.get(key)}, and this run of {key} {value}; use the same {key}, "
                    f"another -o, or {param('overwrite')} in the place of {param('resume')}.",
                    code=Code.OTHER_RUN,
                )

    def _index(self, file: BinaryIO) -> int:
        whole, checksum, number = file.tell(), 0, 1
        head: bytes | None = None
        while line := file.readline(_LONGEST_BYTES):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) < _LONGEST_BYTES:
                    break  # half written
                raise self._broken(number, "the line is longer than any result's")
            if line.startswith(_END) and head is not None:
                if line != _end_line(checksum).encode():
                    raise self._broken(number, "what stands before it was changed")
                self._add(head, number, whole, file.tell())
                whole, checksum, head = file.tell(), 0, None
                continue
            if not line.startswith(HEAD if head is None else PARTS):
                raise self._broken(number, "it is not a part of a result")
            head = line if head is None else head
            checksum = zlib.crc32(line, checksum)
        return whole

    def _add(self, head: bytes, number: int, start: int, stop: int) -> None:
        try:
            about = parse_json(head)["result"]
            self._keep(about["source"], about["id"], about["channel"], about["channels"], (start, stop))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._broken(number, "it is not a result") from error

    def _keep(
        self, source: str, utt_id: str | None, channel: int | None, channels: int | None, place: tuple[int, int]
    ) -> None:
        key = key_of(source, utt_id)
        found = self._places.setdefault(key, {})
        found[channel] = place
        if len(found) == (channels or 1):
            self.done.add(key)

    def _broken(self, number: int, reason: str) -> UsageError:
        return UsageError(
            f"{self.path}, line {number}: {reason}, so no run can go on from it. The file was left as it is; use "
            f"another -o, or {param('overwrite')} in the place of {param('resume')} to begin anew.",
            code=Code.BROKEN_JOURNAL,
        )

    def add(self, result: Result) -> None:
        """Keep a result, on the system's side when this returns. A failed one is not kept: it is to be done again."""
        if not result.ok:
            return
        target = self._open()
        start, checksum = self._end, 0
        with target.transaction():
            for line in encode(result):
                checksum = zlib.crc32(line.encode(), checksum)
                self._end += target.write(line)
            self._end += target.write(_end_line(checksum))
        self._keep(result.source, result.id, result.channel, result.channels, (start, self._end))

    def _open(self) -> Target:
        """The file to add to, which is made with the first result: a run that got nowhere leaves none."""
        if self._target is None:
            self._target = Target(self.path, in_place=True, append=self._end > 0)
            if not self._end:
                head = json.dumps({"version": _VERSION, "run": self._run})
                self._end += self._target.write(f"{_OPENING.decode()}{head[1:]}\n")
        return self._target

    def results(self, key: str) -> Iterator[Result]:
        """The results of an input that is done, a result for each channel, in order."""
        with open(self.path, "rb") as file:
            for start, stop in [self._places[key][channel] for channel in sorted(self._places[key], key=_in_order)]:
                file.seek(start)
                try:
                    yield decode(_until(file, stop))
                except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
                    raise UsageError(
                        f"{self.path}: the result of {key!r} cannot be read back. Use another -o, or "
                        f"{param('overwrite')} in the place of {param('resume')} to begin anew.",
                        code=Code.BROKEN_JOURNAL,
                    ) from error

    def finish(self) -> None:
        """Nothing is left to do: the file is removed when this is closed, which is to be after the output is."""
        self._finished = True

    def __enter__(self) -> ResumeLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._target is not None:
            self._target.close()
        if self._finished and kind is None and os.path.exists(self.path):
            with map_write_errors(self.path):
                os.unlink(self.path)


def _end_line(checksum: int) -> str:
    return f"{_END.decode()}{checksum}}}\n"


def _until(file: BinaryIO, stop: int) -> Iterator[bytes]:
    """The lines up to a place, without the last, which has the checksum."""
    line = file.readline()
    while file.tell() < stop:
        yield line
        line = file.readline()


def _in_order(channel: int | None) -> int:
    return -1 if channel is None else channel
