"""Answers of the models for the segments of one file, so that a long file goes on where a killed run stopped.

A file of records, only ever appended to:

    header   8 bytes magic, uint32 version, 16 bytes hash of the fingerprint
    record   16 bytes hash of the question and the segment's samples, uint32 length, that many bytes of answer
             (`segment_codec.py`), uint32 CRC-32

All little-endian. Ten hours in segments of 5 s are 7,200 records of each model that is asked: 46 MB of emotions at 768
dimensions, 5 MB of words, and 1 MB of memory for the index of each. An answer depends on the samples alone, and on what
was asked of them, so their hash (BLAKE2b) is all that a record needs to be found by, however the file is cut the next
time.

Nothing is synced: what was written when the process is killed is the system's to keep. After a loss of power the last
records may be torn or missing; those are computed again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np

from overtone.server.jobs.segment_codec import decode, encode
from overtone.system.files import private_opener
from overtone.types import EmotionOutput, ModelOutput, Samples

_MAGIC = b"OVTNSAID"

_VERSION = 2

_HEADER = struct.Struct("<8sI16s")

_FRONT = struct.Struct("<16sI")

_CHECK = struct.Struct("<I")

_DIGEST_BYTES = 16

_MOST_BYTES = 16 << 20
"""Bytes of one answer, at most; a length beyond it is not one."""

_LOG = logging.getLogger("overtone")


def digest_of(cache_key: str, samples: Samples) -> bytes:
    """The key of an answer: a hash of what was asked, and of the samples, float32 (samples,)."""
    digest = hashlib.blake2b(cache_key.encode() + b"\0", digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(samples, "<f4").data)
    return digest.digest()


class SegmentCheckpoint:
    """The answers kept in the file at `path`, which is made if it is missing. Thread-safe; one at a time for a file.

    fingerprint: text that is another for every model, precision and whatever else changes an answer. What the file
    holds of another fingerprint is dropped, and so is all from the first broken record on.

    Whoever wants frames must compute them: an answer with frames is not kept, and a recalled one has none.

    Where the disk is full, or the file cannot be used, this is logged once, and nothing more is kept or recalled: an
    answer is no worse for not being kept.
    """

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        self._path = path
        self._places: dict[bytes, int] = {}
        self._lock = threading.Lock()
        mark = hashlib.blake2b(fingerprint.encode(), digest_size=_DIGEST_BYTES).digest()
        self._end = _HEADER.size
        self._file: io.FileIO | None = None
        try:
            self._file = io.FileIO(path, "r+", opener=_made_if_missing)
            self._read(self._file, _HEADER.pack(_MAGIC, _VERSION, mark))
        except OSError as error:
            self._give_up(error)

    def _read(self, file: io.FileIO, header: bytes) -> None:
        """Find the records that are kept, and cut off all from the first broken one on."""
        if file.read(len(header)) != header:
            file.truncate(0)
            _write(file, 0, header)
        while (record := self._record(file, self._end)) is not None:
            self._places[record[:_DIGEST_BYTES]] = self._end
            self._end += len(record) + _CHECK.size
        file.truncate(self._end)

    def _record(self, file: io.FileIO, place: int) -> bytes | None:
        """The record at that place, without its checksum; None if it is broken."""
        file.seek(place)
        front = file.read(_FRONT.size)
        if len(front) < _FRONT.size or (length := _FRONT.unpack(front)[1]) > _MOST_BYTES:
            return None
        rest = file.read(length + _CHECK.size)
        record = front + rest[:length]
        return record if rest[length:] == _check(record) else None

    def _give_up(self, error: OSError) -> None:
        _LOG.warning("%s: answers are not kept any more (%s)", self._path, error)
        self._let_go()

    def _let_go(self) -> None:
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        return len(self._places)

    def recall(self, digest: bytes) -> ModelOutput | None:
        """The answer known by `digest`, without frames; None if it is not known, or after `close`."""
        with self._lock:
            place = self._places.get(digest)
            record = self._record(self._file, place) if self._file is not None and place is not None else None
        return None if record is None else decode(record[_FRONT.size :])

    def keep(self, digest: bytes, answer: ModelOutput) -> None:
        """Remember an answer, except with frames. After `close` this does nothing."""
        if isinstance(answer, EmotionOutput) and answer.frames is not None:
            return
        packed = encode(answer)
        data = _FRONT.pack(digest, len(packed)) + packed
        data += _check(data)
        with self._lock:
            if self._file is None or digest in self._places or len(packed) > _MOST_BYTES:
                return
            try:
                _write(self._file, self._end, data)
            except OSError as error:
                self._give_up(error)
                return
            self._places[digest] = self._end
            self._end += len(data)

    def close(self) -> None:
        """Recall and keep no more; the file stays. Closing again does nothing."""
        with self._lock:
            self._let_go()

    def remove(self) -> None:
        """Close, and delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> SegmentCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _made_if_missing(path: str, flags: int) -> int:
    return private_opener(path, flags | os.O_CREAT)


def _write(file: io.FileIO, place: int, data: bytes) -> None:
    file.seek(place)
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # so it ends where the disk does


def _check(data: bytes) -> bytes:
    return _CHECK.pack(zlib.crc32(data))
