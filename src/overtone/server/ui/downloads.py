"""Results as files to download, made when they are asked for, in the private folder of uploads, and gone once sent."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from overtone.errors import Code, InputError
from overtone.output.embeddings import EmbeddingWriter
from overtone.output.formats import base_name, open_sink
from overtone.output.records import DETAILS, Level, expect_type, json_chunks
from overtone.results import EmotionResult, Result
from overtone.server.inference.models import Task
from overtone.server.ui.kept import Kept
from overtone.server.uploads import Spool

KINDS: Mapping[Task, tuple[str, ...]] = {
    "emotion": ("json", "csv", "srt", "npz"),
    "transcribe": ("jsonl", "csv", "srt", "vtt", "txt"),
}
"""What results can be downloaded as."""

ONE_FILE = ("json", "jsonl", "csv")
"""Kinds of which one file holds several results; of others there is a zip."""

_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain; charset=utf-8",
    "npz": "application/x-npz",
    "zip": "application/zip",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A file to send. name: what the browser is to call it. kind: one of the types, `zip` among them."""

    path: Path
    name: str
    kind: str


def make(kept: Sequence[Kept], kind: str, spool: Spool) -> Made:
    """Make the file of that kind, one for all the results. Blocks; the caller removes it from the spool.

    json: the record, of several an array of them. jsonl: a line for each. csv: one table. srt, vtt, txt, npz: the file,
    of several a zip of them.
    InputError (silence) for embeddings of nothing but silence. RefusedError (no_space).
    """
    results = [result for one in kept for result in one.results]
    name = base_name(results[0]) if len(kept) == 1 else "overtone"
    with _reading(kept):
        level = kept[0].level
        if kind in ONE_FILE:
            return Made(_filled(spool, lambda path: _table(path, results, level, kind)), f"{name}.{kind}", kind)
        write = _npz_writer(spool, level) if kind == "npz" else partial(_timeline, kind, level)
        if len(results) == 1:
            return Made(_filled(spool, lambda path: write(path, results[0])), f"{name}.{kind}", kind)
        return Made(_filled(spool, lambda path: _zip(path, results, kind, write, spool)), f"{name}.zip", "zip")


@contextmanager
def _reading(kept: Sequence[Kept]) -> Iterator[None]:
    """Nobody else reads frames meanwhile. Taken in one order, so that two who want the same never block each other."""
    with ExitStack() as held:
        for one in sorted(kept, key=id):
            held.enter_context(one.lock)
        yield


def _filled(spool: Spool, fill: Callable[[Path], None]) -> Path:
    """A new file of the spool with what `fill` writes, its bytes counted; none where that fails."""
    path = spool.new_path()
    try:
        spool.restore()  # a sink would make the folder for everybody to read
        fill(path)
        spool.charge(path, path.stat().st_size)
    except BaseException:
        spool.remove(path)
        raise
    return path


def _table(path: Path, results: Sequence[Result], level: Level, kind: str) -> None:
    if kind == "json" and len(results) == 1:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.writelines(json_chunks(results[0], level))
            file.write("\n")
        return
    with open_sink(str(path), granularity=level, labels=_labels(results), format=kind, many=True) as sink:
        for result in results:
            sink.write(result)


def _labels(results: Sequence[Result]) -> tuple[str, ...]:
    """The model's classes, as the first result that has some tells them."""
    scores = (result.scores for result in results if isinstance(result, EmotionResult))
    return next((tuple(found) for found in scores if found), ())


def _timeline(kind: str, level: Level, path: Path, result: Result) -> None:
    fine: Level = level if level in DETAILS else "segment"
    with open_sink(str(path), granularity=fine, labels=(), format=kind) as sink:
        sink.write(result)


class _Embedding(EmbeddingWriter):
    """Writes to the place it is told."""

    def __init__(self, folder: Path, level: Level, path: Path) -> None:
        super().__init__(str(folder), "frame" if level == "frame" else "utterance")
        self._path = path

    def path_of(self, result: EmotionResult) -> Path:
        """That place."""
        return self._path


def _npz_writer(spool: Spool, level: Level) -> Callable[[Path, Result], None]:
    def write(path: Path, result: Result) -> None:
        if _Embedding(spool.path, level, path).write(expect_type(result, EmotionResult)) is None:
            raise InputError(f"{result.source}: nobody speaks in it, so it has no embedding.", code=Code.SILENCE)

    return write


def _zip(path: Path, results: Sequence[Result], kind: str, write: Callable[[Path, Result], None], spool: Spool) -> None:
    names: set[str] = set()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if kind == "npz" else zipfile.ZIP_DEFLATED) as archive:
        for result in results:
            member = _free(base_name(result), kind, names)
            with suppress(InputError):  # a silent file has no embedding, and the others have
                part = _filled(spool, lambda path, result=result: write(path, result))  # type: ignore[misc]  # a default is no part of its type
                try:
                    archive.write(part, member)
                finally:
                    spool.remove(part)


def _free(base: str, kind: str, taken: set[str]) -> str:
    """A name that is not taken yet, also where two files are called the same."""
    name, count = f"{base}.{kind}", 1
    while name.casefold() in taken:
        count += 1
        name = f"{base}-{count}.{kind}"
    taken.add(name.casefold())
    return name


class _Sent(FileResponse):
    """Sends a file and removes it then, also where the client has gone."""

    def __init__(self, made: Made, spool: Spool) -> None:
        headers = {"Cache-Control": "no-store"}
        super().__init__(made.path, media_type=_TYPES[made.kind], filename=made.name, headers=headers)
        self._made, self._spool = made, spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(asyncio.to_thread(self._spool.remove, self._made.path))


async def sent(kept: Sequence[Kept], kind: str, spool: Spool) -> Response:
    """The response with the file, of which nothing stays here. Raises as `make`."""
    return _Sent(await asyncio.to_thread(make, kept, kind, spool), spool)
