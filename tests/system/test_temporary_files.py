"""Temporary files where the disk is full, limited, read-only or gone: the folder is named, and the remedy."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from helpers.command import environment
from overtone.errors import UsageError
from overtone.system import spooled_array
from overtone.system.spooled_array import IN_MEMORY_BYTES, SpooledArray
from overtone.system.temporary_files import temporary_file_error

ROWS = np.ones((IN_MEMORY_BYTES // 16 + 1, 4), np.float32)
"""One more than memory keeps."""


class _Refusing(io.BytesIO):
    """A file on a disk that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, data: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [
        (errno.ENOSPC, "no_space", "Make room there"),
        (errno.EDQUOT, "no_space", "quota"),
        (errno.EFBIG, "no_space", "ulimit -f"),
        (errno.EROFS, "unwritable", "mounted for writing"),
        (errno.ENOENT, "unwritable", "Make that folder again"),
        (errno.EACCES, "unwritable", "Allow writing"),
    ],
)
def test_an_array_that_finds_no_room_names_the_folder_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str, remedy: str
) -> None:
    monkeypatch.setattr(spooled_array, "unnamed_file", lambda: _Refusing(number))
    array = SpooledArray(4)
    with pytest.raises(UsageError, match=remedy) as caught:
        array.append(ROWS)
    assert caught.value.code == code
    assert tempfile.gettempdir() in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    array.close()


def test_a_temporary_folder_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=f"{tmp_path / 'gone'}: No such file or directory") as caught:
        SpooledArray(4).append(ROWS)
    assert caught.value.code == "unwritable"


def test_no_temporary_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in []")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert "name another one as TMPDIR" in str(temporary_file_error(OSError(errno.ENOSPC, "full")))


def test_rows_kept_in_memory_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled_array, "unnamed_file", lambda: _Refusing(errno.ENOSPC))
    array = SpooledArray(4, in_memory=True)
    array.append(ROWS)
    np.testing.assert_array_equal(array.numpy(), ROWS)


LIMITED = """
import resource, sys
import numpy as np
from overtone.errors import UsageError
from overtone.system.spooled_array import IN_MEMORY_BYTES, SpooledArray
resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 10, resource.RLIM_INFINITY))
array = SpooledArray(1)
try:
    for _ in range(100):
        array.append(np.ones((IN_MEMORY_BYTES // 20, 1), np.float32))
except UsageError as error:
    print(error.code, error)
del array
"""


def test_a_limit_on_the_size_of_files_is_named_and_nothing_else_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], env=environment(), capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.startswith("no_space cannot write temporary files in ")
    assert "ulimit -f" in done.stdout
    assert done.stderr == ""
