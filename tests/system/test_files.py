from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from overtone.system.files import iter_chunks, read_capped, replace_atomically, sha256_file


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def replace(path: Path, data: bytes = b"new", **options: Any) -> None:
    with replace_atomically(path, **options) as file:
        file.write(data)


# Replaced.


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"old")
    with replace_atomically(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("named", [False, True])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException], named: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with (
        pytest.raises(error),
        replace_atomically(path, temporary=tmp_path / "file.part" if named else None) as file,
    ):
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_place_that_cannot_be_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "missing" / "file")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_disk_that_fails_only_when_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("full")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        replace(path, sync=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_synced_is_content_before_the_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, synced = tmp_path / "file", os.fsync, []

    def noted(handle: int) -> None:
        real(handle)
        status = os.fstat(handle)
        synced.append((stat.S_ISDIR(status.st_mode), path.exists(), status.st_size if not path.exists() else None))

    monkeypatch.setattr(os, "fsync", noted)
    replace(path)
    assert synced == []
    path.unlink()
    replace(path, sync=True)
    assert synced == [(False, False, 3), (True, True, None)]


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_permissions_are_those_asked_for_or_left_to_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        replace(tmp_path / "plain")
        replace(tmp_path / "private", mode=0o600)
        replace(tmp_path / "shared", mode=0o644)
    assert permissions(tmp_path / "plain") == 0o666 & ~mask
    assert permissions(tmp_path / "private") == 0o600
    assert permissions(tmp_path / "shared") == 0o644


def test_what_a_killed_process_left_is_not_written_into(tmp_path: Path) -> None:
    path, left, other = tmp_path / "file", tmp_path / "file.part", tmp_path / "other"
    left.touch(0o666)
    left.chmod(0o666)
    with umask(0o077):
        replace(path, temporary=left)
    assert permissions(path) == 0o600
    other.write_bytes(b"of somebody else")
    left.symlink_to(other)
    replace(path, b"newer", temporary=left)
    assert (path.read_bytes(), other.read_bytes()) == (b"newer", b"of somebody else")
    assert not path.is_symlink()
    os.mkfifo(left)  # opened to write, it would wait for a reader
    replace(path, b"newest", temporary=left)
    assert path.read_bytes() == b"newest"
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


def test_several_at_once_give_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replace_atomically(path) as one, replace_atomically(path) as other:
        one.write(b"one")
        other.write(b"the other")
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "file", tmp_path / "target"
    target.write_bytes(b"old")
    path.symlink_to(target)
    replace(path)
    assert not path.is_symlink()
    assert (path.read_bytes(), target.read_bytes()) == (b"new", b"old")


# Read.


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert read_capped(path, 3) == b"abc"
    assert read_capped(path, 2) is None
    path.write_bytes(b"")
    assert read_capped(path, 0) == b""


def test_what_does_not_say_its_size_has_a_limit_too(tmp_path: Path) -> None:
    assert read_capped(Path("/dev/zero"), 1 << 20) is None
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for size, found in ((100_000, b"x" * 100_000), (100_001, None)):
        writer = threading.Thread(target=pipe.write_bytes, args=(b"x" * size,))
        writer.start()
        assert read_capped(pipe, 100_000) == found
        writer.join()


def test_chunks_are_the_content_and_the_file_is_closed_after(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcde")
    file = path.open("rb")
    assert list(iter_chunks(file, 2)) == [b"ab", b"cd", b"e"]
    assert file.closed


def test_chunks_that_nobody_wants_any_more_close_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcde")
    file = path.open("rb")
    chunks = iter_chunks(file, 2)
    assert next(chunks) == b"ab"
    chunks.close()
    assert file.closed


@pytest.mark.parametrize("size", [0, 3, 1 << 20, (1 << 20) + 1])
def test_a_digest_is_that_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(data := os.urandom(size))
    assert sha256_file(path) == hashlib.sha256(data).hexdigest()
