"""Compiled models kept in the cache folder, which load in a fraction of the time that compiling takes.

`compiled/KEY.blob` is as OpenVINO wrote it, and `KEY.json` beside it has its checksum, the names that compiling found,
a checksum of all this, and, as its time, the last use. A blob is mapped from a copy without a name, as weights are
(`model_file`). Its content is trusted while its place on the disk, size and times are those that were noted when it was
written; else its checksum is taken again. OpenVINO's own cache (`CACHE_DIR`) writes it, which needs no second copy in
memory, and does not read it: it would map the file by its name, and a file that is cut short ends the process. Blobs
without weights (`CACHE_MODE` `OPTIMIZE_SIZE`) would be small, and are wrong: with them OpenVINO 2026.4.1 gave 99 frames
where there are 100.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from overtone.backends.openvino.module import openvino
from overtone.system.documents import read_json
from overtone.system.files import crc32_file, replace_atomically

_LIMIT_BYTES = 4 << 30
"""Bytes of all blobs together; those used longest ago go first. A blob is as large as its weights: 0.36 GB for
emotion2vec's base shape in float32, 0.85 for SenseVoice-Small."""

_HELD_BYTES = 16 << 20
"""Bytes of a blob up to which a copy in memory is cheaper than one on disk."""

_SPARE_BYTES = 256 << 20
"""Bytes of the disk that blobs leave free."""

_STALE_S = 3600.0
"""Seconds after which what was begun and not kept was left by a process that ended."""

_LOCK_S = 10.0
"""Seconds to wait while another process keeps a blob."""

_LARGEST_ABOUT = 64 << 10

_HEADER_BYTES = 4096
"""Bytes in which the line ends that OpenVINO's cache puts before a blob: an XML element of some 300."""


@dataclass(frozen=True, slots=True)
class GraphNames:
    """Names of a compiled graph.

    inputs: of its inputs, in order. outputs: place of each output by each of its names. layers: operations with
    weights.
    """

    inputs: tuple[str, ...]
    outputs: Mapping[str, int]
    layers: int


class Blob:
    """A compiled model as it was kept. tensor: for `import_model`, valid as long as this is."""

    def __init__(self, names: GraphNames, data: Any, mapping: mmap.mmap | None) -> None:
        self.names, self._data, self._mapping = names, data, mapping
        self.tensor = openvino().Tensor(data, shared_memory=True)

    def drop_pages(self) -> None:
        """Give back the pages of a blob that is mapped; they are read again if they are wanted."""
        if self._mapping is not None:
            with suppress(OSError):  # pages that the process has locked in memory stay
                self._mapping.madvise(mmap.MADV_DONTNEED)


class BlobCache:
    """Compiled models by key, in a folder that is its owner's alone. Any number of processes may use it at once.

    A folder that cannot be written, a full disk, or a blob that is damaged or another user's only costs the time to
    compile again. limit_bytes: of all blobs together.
    """

    def __init__(self, folder: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes

    @property
    def usable(self) -> bool:
        """False in a folder that cannot be written, where blobs are copied to, and on systems other than Linux, where
        pages of a mapping cannot be given back."""
        if sys.platform != "linux":
            return False
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _is_trusted(self._folder.lstat()) and os.access(self._folder, os.W_OK)
        return False

    def find(self, key: str) -> Blob | None:
        """The blob that is kept for a key; None where there is none to be trusted, and a damaged one is deleted."""
        about = self._folder / f"{key}.json"
        try:
            if not _is_trusted_file(about.lstat()):
                raise ValueError("another user's, or no file")
            said = read_json(about, _LARGEST_ABOUT)
            if said["check"] != _check(key, said):
                raise ValueError("another blob's, or damaged")
            names = GraphNames(tuple(said["inputs"]), dict(said["outputs"]), int(said["layers"]))
            with self._opened(key) as file:
                blob = self._mapped(file, said, names)
        except FileNotFoundError:
            return None
        except OSError:  # a disk that takes no copy, say
            return None
        except (ValueError, KeyError, TypeError):  # among them a DocumentError
            self.discard(key)
            return None
        with suppress(OSError):
            os.utime(about)
        return blob

    def _opened(self, key: str) -> IO[bytes]:
        handle = os.open(self._folder / f"{key}.blob", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # of a pipe, too
        if not _is_trusted_file(os.fstat(handle)):
            os.close(handle)
            raise ValueError("another user's, or no file")
        return os.fdopen(handle, "rb", buffering=0)

    def _mapped(self, file: IO[bytes], said: Mapping[str, Any], names: GraphNames) -> Blob:
        """A blob from a copy of its file. ValueError where it is not what was kept."""
        before, skipped = os.fstat(file.fileno()), int(said["header_bytes"])
        size = before.st_size
        if size != said["bytes"] or not 0 < skipped < size:
            raise ValueError("of another size")
        mapping = None
        if size <= _HELD_BYTES:
            data = np.frombuffer(bytearray(file.read()), np.uint8)
        else:
            mapping = _mapped_copy(file, size, self._folder)
            data = np.frombuffer(mapping, np.uint8)
        unchanged = _mark(before) == said["mark"] and _mark(os.fstat(file.fileno())) == said["mark"]
        if len(data) != size or (not unchanged and zlib.crc32(data.data) != said["crc32"]):
            raise ValueError("damaged")
        return Blob(names, data[skipped:], mapping)

    @contextmanager
    def writing(self, weight_bytes: int) -> Iterator[Path | None]:
        """A folder for OpenVINO's `CACHE_DIR` while the block runs; None where there is no room for so much."""
        part = None
        with suppress(OSError):
            # What cannot be written OpenVINO leaves out without a word: the end of a blob on a full disk.
            if weight_bytes <= self._limit_bytes and self._free_bytes() > 2 * weight_bytes + _SPARE_BYTES:
                part = Path(tempfile.mkdtemp(prefix=".part-", dir=self._folder))
        try:
            yield part
        finally:
            if part is not None:
                shutil.rmtree(part, ignore_errors=True)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def keep(self, key: str, part: Path, names: GraphNames) -> None:
        """Keep the blob that OpenVINO wrote into the folder of `writing`, and delete those beyond the limit."""
        from filelock import FileLock, Timeout

        with suppress(OSError, ValueError, Timeout):
            (written,) = part.glob("*.blob")
            written.chmod(0o600)
            if self._free_bytes() < _SPARE_BYTES:
                return
            said = {
                "header_bytes": _header_bytes(written),
                "bytes": written.stat().st_size,
                "crc32": int(crc32_file(written), 16),
                "inputs": names.inputs,
                "outputs": dict(names.outputs),
                "layers": names.layers,
            }
            blob, about = self._folder / f"{key}.blob", self._folder / f"{key}.json"
            with FileLock(self._folder / ".lock", timeout=_LOCK_S):
                os.replace(written, blob)
                with replace_atomically(about, mode=0o600) as file:
                    said["mark"] = _mark(blob.stat())
                    file.write(json.dumps({**said, "check": _check(key, said)}).encode())
                self._sweep()

    def discard(self, key: str) -> None:
        """Delete the blob of a key."""
        for suffix in (".json", ".blob"):
            with suppress(OSError):
                (self._folder / f"{key}{suffix}").unlink()

    def _sweep(self) -> None:
        """Delete blobs beyond the limit, and the leavings of processes that ended."""
        used = []
        for blob in self._folder.glob("*.blob"):
            about = blob.with_suffix(".json")
            used.append((about.stat().st_mtime if about.exists() else 0.0, blob.stat().st_size, blob.stem))
        held = 0
        for last_use, size, key in sorted(used, reverse=True):
            held += size
            if held > self._limit_bytes or not last_use:
                self.discard(key)
        for part in self._folder.glob(".part-*"):
            if time.time() - part.stat().st_mtime > _STALE_S:
                shutil.rmtree(part, ignore_errors=True)


def _is_trusted(found: os.stat_result) -> bool:
    """True if only this user and root can have written a file or folder."""
    return found.st_uid in (0, os.getuid()) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_trusted_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and _is_trusted(found)


def _mark(found: os.stat_result) -> list[int]:
    """Numbers that change with a file's content; only damage of the disk itself leaves them as they were."""
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _check(key: str, said: Mapping[str, Any]) -> int:
    """A checksum of the description of a key's blob: names that are wrong would be met in the middle of a run."""
    rest = {name: value for name, value in said.items() if name != "check"}
    return zlib.crc32(json.dumps([key, rest], sort_keys=True).encode())


def _mapped_copy(file: IO[bytes], size: int, folder: Path) -> mmap.mmap:
    """A private mapping of a copy without a name. ValueError where the file is shorter by now, OSError without room."""
    with tempfile.TemporaryFile(buffering=0, dir=folder) as copy:
        left = size
        while left and (count := os.sendfile(copy.fileno(), file.fileno(), size - left, left)):
            left -= count
        if left:
            raise ValueError("cut short")
        # Writable, as OpenVINO's tensors have to be, but never written to: the file's pages can be dropped.
        return mmap.mmap(copy.fileno(), size, access=mmap.ACCESS_COPY)


def _header_bytes(path: Path) -> int:
    """Bytes of the line that OpenVINO's cache puts before a blob. ValueError for other files."""
    with path.open("rb") as file:
        line = file.readline(_HEADER_BYTES)
    if not (line.startswith(b"<?xml") and b"<compiled_blob" in line and line.endswith(b"\n")):
        raise ValueError("no blob of OpenVINO's cache")
    return len(line)
