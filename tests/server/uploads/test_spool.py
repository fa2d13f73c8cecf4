"""The folder of uploads: private, gone when it is closed, and swept of what killed processes left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("python_multipart", reason="the extra [server] is not installed")

from helpers.command import environment
from overtone.errors import RefusedError, UsageError
from overtone.server.uploads import Spool, Upload, UploadLimits
from overtone.server.uploads.spooled_file import SpoolFile

LIMITS = UploadLimits(most_bytes=1000, most_files=8, idle_s=1, least_rate=0, total_bytes=1000)

CHILD = """
import sys, pathlib
from overtone.server.uploads import Spool, UploadLimits
from overtone.server.uploads.spooled_file import SpoolFile
spool = Spool(pathlib.Path(sys.argv[1]), UploadLimits(1000, 8, 1, 0, 1000))
file = SpoolFile(spool, "a.wav")
file.add(b"left behind")
print(file.finish().path, flush=True)
sys.stdin.read()
"""


def upload(spool: Spool, content: bytes = b"abc") -> Upload:
    file = SpoolFile(spool, "a.wav")
    file.add(content)
    return file.finish()


def child(folder: Path) -> tuple[Any, Path]:
    """A process with an upload in a folder, and where that is."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    return process, Path(os.fsdecode(process.stdout.readline().strip()))


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    process, path = child(tmp_path)
    try:
        with Spool(tmp_path, LIMITS) as spool:
            assert path.read_bytes() == b"left behind"
            assert spool.path != path.parent
    finally:
        process.kill()
        process.communicate()
    assert path.exists()
    with Spool(tmp_path, LIMITS):
        assert not path.parent.exists()


def test_two_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as one:
        path = upload(one).path
        with Spool(tmp_path, LIMITS) as other:
            assert other.held_bytes == 0
        assert path.exists()
        assert one.held_bytes == 3


def test_only_what_it_made_is_swept(tmp_path: Path) -> None:
    mine, elsewhere = tmp_path / "overtone-uploads-mine", tmp_path / "elsewhere"
    left = tmp_path / "overtone-uploads-left"
    for folder in (mine, elsewhere, left):
        folder.mkdir()
        (folder / "upload-1").write_text("1")
    (left / "in-use.lock").touch()
    (left / "notes.txt").write_text("kept")
    (elsewhere / "in-use.lock").touch()
    (tmp_path / "overtone-uploads-link").symlink_to(elsewhere)
    (tmp_path / "overtone-uploads-file").write_text("a file")
    with Spool(tmp_path, LIMITS):
        assert not (left / "upload-1").exists()
    assert (left / "notes.txt").read_text() == "kept"
    assert (mine / "upload-1").exists()
    assert (elsewhere / "upload-1").exists()
    assert (tmp_path / "overtone-uploads-file").exists()


@pytest.mark.parametrize("given", [True, False], ids=["a folder", "no folder"])
def test_closing_removes_its_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "other").touch()
    spool = Spool(tmp_path / "new" / "uploads" if given else None, LIMITS)
    kept = upload(spool)
    assert spool.path.stat().st_mode & 0o777 == 0o700
    if given:
        assert spool.path.parent == tmp_path / "new" / "uploads"
        assert spool.path.parent.stat().st_mode & 0o777 == 0o700
    spool.close()
    spool.close()
    kept.remove()
    assert spool.held_bytes == 0
    assert not spool.path.exists()
    left = {path.name for path in tmp_path.rglob("*")} - {"new", "uploads"}
    assert left == ({"other", ".overtone-uploads.lock"} if given else {"other"})


def test_nothing_is_taken_after_closing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMITS)
    file = SpoolFile(spool, "a.wav")
    file.add(b"abc")
    spool.close()
    with pytest.raises(RefusedError, match="ending") as caught:
        file.finish()
    assert caught.value.code == "not_ready"
    file.discard()
    assert spool.held_bytes == 0


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(UsageError, match=rf"{folder}: uploads cannot be kept there"):
            Spool(folder, LIMITS)


def test_what_cannot_be_removed_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        kept = upload(spool)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", lambda *_, **__: os.unlink(tmp_path))
            kept.remove()
        assert spool.held_bytes == 3
        assert "stays on disk" in caplog.text
        kept.remove()
        assert spool.held_bytes == 0


def test_a_file_discarded_while_it_grows_is_gone_for_good(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        file = SpoolFile(spool, "a.wav")
        file.add(b"abc")
        file.flush()
        assert spool.held_bytes == 3
        file.add(b"def")
        file.discard()
        file.flush()
        assert spool.held_bytes == 0
        assert not list(spool.path.glob("upload-*"))


@pytest.mark.parametrize("given", [True, False], ids=["a folder", "no folder"])
def test_a_folder_removed_under_it_is_made_again_as_private_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parent = tmp_path / "uploads"
    with Spool(parent if given else None, LIMITS) as spool:
        shutil.rmtree(parent if given else spool.path)
        before = os.umask(0)
        try:
            kept = upload(spool)
        finally:
            os.umask(before)
        assert kept.path.read_bytes() == b"abc"
        assert spool.path.stat().st_mode & 0o777 == 0o700
        if given:
            assert parent.stat().st_mode & 0o777 == 0o700
            with Spool(parent, LIMITS):
                assert kept.path.exists(), "a folder that is in use is not swept"
        assert spool.problem() is None


def test_it_says_why_it_takes_no_uploads(tmp_path: Path) -> None:
    with Spool(tmp_path / "uploads", LIMITS) as spool:
        shutil.rmtree(tmp_path / "uploads")
        (tmp_path / "uploads").touch()
        problem = spool.problem()
        assert problem is not None
        assert problem.startswith("cannot be made again")
