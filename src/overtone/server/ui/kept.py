"""`Kept`: the results of one file for as long as its page shows them, and the shelf of all, which has a size."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overtone.output.plots.curves import thin_envelope
from overtone.output.records import DETAILS, Level
from overtone.results import EmotionResult, Result, Transcript
from overtone.server.inference.models import Task
from overtone.server.uploads import Spool
from overtone.system.memory import KIB, MIB
from overtone.system.spooled_array import IN_MEMORY_BYTES, SpooledArray

SHELF_BYTES = 32 * MIB
"""Of memory for the results of all pages: some thousand short files. Who looked longest ago loses theirs first."""

ENVELOPE_ROWS = 2000
"""Of the waveform that is kept, two points each: more than a screen has pixels."""

_OBJECTS_BYTES = 4 * KIB
"""A result's own objects, with some to spare."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The results of one file: one, or one for each channel. Frames are read by one thread at a time: hold `lock`."""

    name: str
    level: Level
    results: tuple[Result, ...]
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, name: str, level: Level, results: Sequence[Result]) -> Kept:
        """Results with no more of the waveform than pictures show."""
        return cls(name, level, tuple(map(_thinned, results)))

    @property
    def task(self) -> Task:
        """What was asked."""
        return "transcribe" if self.level in DETAILS else "emotion"

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory, about."""
        return sum(map(_memory_bytes, self.results))

    @property
    def disk_bytes(self) -> int:
        """Bytes of temporary files, which frames are in once they are many."""
        return sum(
            spool_bytes for result in self.results for spool_bytes in _spools(result) if _is_on_disk(spool_bytes)
        )


class Shelf:
    """All that is kept, in bounded memory; its files count among the uploads. Used from the event loop."""

    def __init__(self, spool: Spool, most_bytes: int = SHELF_BYTES) -> None:
        self._spool, self._most_bytes = spool, most_bytes
        self._kept: OrderedDict[object, tuple[Kept, Path]] = OrderedDict()
        self._held_bytes = 0

    def put(self, key: object, kept: Kept) -> None:
        """Keep results; what was looked at longest ago makes room. RefusedError (no_space) where the disk has none."""
        self.drop(key)
        account = self._spool.new_path()  # no file: frames are in unnamed ones, and only their bytes are counted here
        self._spool.charge(account, kept.disk_bytes)
        self._kept[key] = kept, account
        self._held_bytes += kept.memory_bytes
        while self._held_bytes > self._most_bytes and len(self._kept) > 1:
            self.drop(next(iter(self._kept)))

    def get(self, key: object) -> Kept | None:
        """What is kept under a key, if it still is."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def drop(self, key: object) -> None:
        """Keep it no more. A file of frames goes when nobody reads it any more."""
        kept, account = self._kept.pop(key, (None, None))
        if kept is not None and account is not None:
            self._held_bytes -= kept.memory_bytes
            self._spool.remove(account)


def _thinned(result: Result) -> Result:
    if not isinstance(result, EmotionResult) or result.envelope is None:
        return result
    return dataclasses.replace(result, envelope=thin_envelope(result.envelope, ENVELOPE_ROWS))


def _spools(result: Result) -> list[int]:
    frames = result.frames if isinstance(result, EmotionResult) else None
    if frames is None:
        return []
    spools: list[SpooledArray] = [frames.starts, frames.embeddings, *([] if frames.scores is None else [frames.scores])]
    return [len(spool) * spool.row_bytes for spool in spools]


def _is_on_disk(spool_bytes: int) -> bool:
    return spool_bytes > IN_MEMORY_BYTES


_SENTENCE_BYTES = 64
"""Of a transcript's arrays, for each sentence, beside those of its words."""

_CHARACTER_BYTES = 16
"""Of text, tokens, times and confidences, for each character."""


def _memory_bytes(result: Result) -> int:
    if isinstance(result, Transcript):
        return len(result.sentences) * _SENTENCE_BYTES + len(result.text) * _CHARACTER_BYTES + _OBJECTS_BYTES
    assert isinstance(result, EmotionResult)
    arrays = sum(array.nbytes for array in (result.envelope, result.embedding) if array is not None)
    timeline = len(result.segments) * 8 * (4 + len(result.scores or ()))
    frames = sum(spool_bytes for spool_bytes in _spools(result) if not _is_on_disk(spool_bytes))
    return arrays + timeline + frames + _OBJECTS_BYTES
