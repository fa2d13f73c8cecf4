"""What the model has already said of the segments of one file, so that a long file goes on where a killed run stopped.

A file of equal records, only ever appended to:

    header   8 bytes magic, uint32 version, uint32 dim, 16 bytes hash of the fingerprint
    record   16 bytes hash of the segment's samples, int64 count, 16 bytes device, float64[dim] total, uint32 CRC-32

All little-endian. A record is 44 bytes and 8 a dimension: ten hours in segments of 5 s are 7,200 records, 45 MB at 768
dimensions, and the index of them takes 1 MB of memory. A segment's answer depends on its samples alone, so their hash
(BLAKE2b) is all that a record needs to be found by, however the file is cut the next time.

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

from overtone.server.jobs.disk import private
from overtone.values import Output, Samples

RECALLED = "parts were answered before"
"""The note of an output that was recalled; what it cost then is not in this run's timings."""

_MAGIC = b"OVTNSAID"

_VERSION = 1

_HEADER = struct.Struct("<8sII16s")

_FRONT = struct.Struct("<16sq16s")

_CHECK = struct.Struct("<I")

_DIGEST_BYTES = 16

_LOG = logging.getLogger("overtone")


def digest_of(samples: Samples) -> bytes:
    """What a segment is known by: a hash of its samples, float32 (samples,)."""
    return hashlib.blake2b(np.ascontiguousarray(samples, "<f4").data, digest_size=_DIGEST_BYTES).digest()


class KeptAnswers:
    """The answers kept in the file at `path`, which is made if it is missing. Thread-safe; one at a time for a file.

    dim: of an embedding. fingerprint: text that is another for every model, precision and whatever else changes an
    answer. What the file holds of another dim or fingerprint is dropped, and so is all from the first broken record on.

    Whoever wants frames must compute them: an answer with frames is not kept, and a recalled one has none.

    Where the disk is full, or the file cannot be used, this is logged once, and nothing more is kept or recalled: an
    answer is no worse for not being kept.
    """

    def __init__(self, path: Path, dim: int, *, fingerprint: str) -> None:
        self._path = path
        self._dim = dim
        self._record_bytes = _FRONT.size + 8 * dim + _CHECK.size
        self._places: dict[bytes, int] = {}
        self._lock = threading.Lock()
        mark = hashlib.blake2b(fingerprint.encode(), digest_size=_DIGEST_BYTES).digest()
        self._end = _HEADER.size
        self._file: io.FileIO | None = None
        try:
            self._file = io.FileIO(path, "r+", opener=_made_if_missing)
            self._read(self._file, _HEADER.pack(_MAGIC, _VERSION, dim, mark))
        except OSError as error:
            self._give_up(error)

    def _read(self, file: io.FileIO, header: bytes) -> None:
        """Find what is kept, and cut off what is broken."""
        if file.read(len(header)) != header:
            file.truncate(0)
            _write(file, 0, header)
        while (record := self._record(file, self._end)) is not None:
            self._places[record[:_DIGEST_BYTES]] = self._end
            self._end += self._record_bytes
        file.truncate(self._end)

    def _record(self, file: io.FileIO, place: int) -> bytes | None:
        file.seek(place)
        record = file.read(self._record_bytes)
        whole = len(record) == self._record_bytes
        return record if whole and _check(record[: -_CHECK.size]) == record[-_CHECK.size :] else None

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

    def recall(self, digest: bytes) -> Output | None:
        """What was said of the segment known by `digest`, without frames; None if it is not known, or after `close`."""
        with self._lock:
            place = self._places.get(digest)
            record = self._record(self._file, place) if self._file is not None and place is not None else None
        if record is None:
            return None
        _, count, device = _FRONT.unpack_from(record)
        total = np.frombuffer(record, "<f8", self._dim, _FRONT.size).astype(np.float64)
        return Output(count, total, notes=(RECALLED,), device=device.rstrip(b"\0").decode())

    def keep(self, digest: bytes, output: Output) -> None:
        """Remember what was said of a segment, except with frames. After `close` this does nothing.

        ValueError for a total of another shape than (dim,).
        """
        if output.frames is not None:
            return
        if output.total.shape != (self._dim,):
            raise ValueError(f"a total of shape {output.total.shape} does not fit answers of {self._dim}")
        device = output.device.encode()[:16]
        data = _FRONT.pack(digest, output.count, device) + output.total.astype("<f8").tobytes()
        with self._lock:
            if self._file is None or digest in self._places:
                return
            try:
                _write(self._file, self._end, data + _check(data))
            except OSError as error:
                self._give_up(error)
                return
            self._places[digest] = self._end
            self._end += self._record_bytes

    def close(self) -> None:
        """Recall and keep no more; the file stays. Closing again does nothing."""
        with self._lock:
            self._let_go()

    def remove(self) -> None:
        """Close, and delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> KeptAnswers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _made_if_missing(path: str, flags: int) -> int:
    return private(path, flags | os.O_CREAT)


def _write(file: io.FileIO, place: int, data: bytes) -> None:
    file.seek(place)
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # so it ends where the disk does


def _check(data: bytes) -> bytes:
    return _CHECK.pack(zlib.crc32(data))
