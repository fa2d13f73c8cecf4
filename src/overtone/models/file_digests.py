"""SHA-256 of files, remembered: reading a large one takes longer than loading it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from overtone.options import loading
from overtone.system.files import replace_atomically, sha256_file


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, remembered in the cache folder by the file's place, size and times. OSError."""
    stat = path.stat()
    # The time of the last change, too: whoever copies files with their times sets the other one back.
    mark = repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    memo = loading.cache_folder() / "hashes" / hashlib.sha256(mark.encode()).hexdigest()[:24]
    with suppress(OSError, UnicodeDecodeError):
        if len(known := memo.read_text(encoding="ascii").strip()) == 64:
            return known
    digest = sha256_file(path)
    with suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(memo) as file:
            file.write(digest.encode())
    return digest
