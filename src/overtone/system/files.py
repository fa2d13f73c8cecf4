"""Files replaced all at once, read up to a limit, and read in chunks."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 64 << 10
"""Bytes that are read at a time where nothing else is said: whole pages, and little enough for many clients at once."""

_PIECE_BYTES = 1 << 20


@contextmanager
def replace_atomically(
    path: Path, *, mode: int | None = None, sync: bool = False, temporary: Path | None = None
) -> Iterator[BinaryIO]:
    """A new file to write, which takes the place of `path` if the block succeeds and is removed if not. OSError.

    A link is replaced, not what it points to.

    - `mode`: permissions, whatever the umask; None leaves them to it.
    - `sync`: the content and the name are on the disk on return.
    - `temporary`: the file's place until then, beside `path`; what a killed process left there is removed. None takes
      a name that no other process takes, so several may replace a file at once.
    """
    if temporary is None:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    temporary.unlink(missing_ok=True)
    try:
        # Exclusive: never a file that is there already, nor one that a link leads to.
        with open(temporary, "xb", opener=private_opener if mode is not None else None) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if sync:
        sync_folder(path.parent)


def private_opener(path: str, flags: int) -> int:
    """An opener for `open` that makes files for their owner alone to read, whatever the umask."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, which syncing the files alone does not. OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems say that sync names by themselves, or never
            raise
    finally:
        os.close(handle)


def read_capped(path: Path, limit: int) -> bytes | None:
    """The content of a file; None if it has more than `limit` bytes, also where its size is not known. OSError."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            return None
        data = bytearray()
        # In pieces: asked for all of it, Python sets aside as much memory as the limit is.
        while piece := file.read(min(_PIECE_BYTES, limit + 1 - len(data))):
            data += piece
            if len(data) > limit:
                return None
    return bytes(data)


def iter_chunks(file: BinaryIO, size: int = CHUNK_BYTES) -> Generator[bytes, None, None]:
    """The rest of a file in chunks of `size` bytes, the last one shorter; it is closed after, or with the generator."""
    with file:
        while chunk := file.read(size):
            yield chunk


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal. OSError."""
    digest = hashlib.sha256()
    for chunk in iter_chunks(path.open("rb"), _PIECE_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def crc32_file(path: Path) -> str:
    """CRC-32 of a file's content, eight hexadecimal digits: finds damage, and takes a seventh of SHA-256's time.

    OSError."""
    crc = 0
    for chunk in iter_chunks(path.open("rb"), _PIECE_BYTES):
        crc = zlib.crc32(chunk, crc)
    return f"{crc:08x}"
