"""Digests of files that are remembered, and never those of what was there before."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from overtone.models import file_digests
from overtone.models.file_digests import sha256


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path / "cache"))
    (path := tmp_path / "weights").write_bytes(b"as published")
    return path


def test_a_file_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = hashlib.sha256(b"as published").hexdigest()
    assert sha256(path) == wanted
    monkeypatch.setattr(file_digests, "sha256_file", lambda _: pytest.fail("it was read again"))
    assert sha256(path) == wanted


def test_a_file_rewritten_in_its_place_with_its_old_time_is_read_again(path: Path) -> None:
    before, stat = sha256(path), path.stat()
    time.sleep(0.05)  # longer than the clock of a file system stands
    path.write_bytes(b"as tampered!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    assert sha256(path) == hashlib.sha256(b"as tampered!").hexdigest() != before


def test_a_folder_that_cannot_be_written_costs_only_the_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERTONE_CACHE", str(path))
    assert sha256(path) == hashlib.sha256(b"as published").hexdigest()
