"""One run at a time writes into an output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.command import environment
from overtone.errors import UsageError
from overtone.output.run_lock import run_lock

HOLDS = """
import sys
from overtone.output.run_lock import run_lock
with run_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_output_is_locked_until_its_run_ends_and_nothing_is_left(tmp_path: Path) -> None:
    out = str(tmp_path / "deep" / "out.csv")
    with run_lock(out):
        with pytest.raises(UsageError, match=r"another run is writing into .*out\.csv; wait"), run_lock(out):
            pass
        with run_lock(str(tmp_path / "deep" / "other.csv")):
            pass
    with run_lock(out):
        pass
    assert os.listdir(tmp_path / "deep") == []


def test_links_to_an_output_are_that_output(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "out.csv")
    with run_lock(str(tmp_path / "out.csv")), pytest.raises(UsageError), run_lock(str(tmp_path / "link.csv")):
        pass


def test_a_killed_run_locks_nobody_out(tmp_path: Path) -> None:
    out = str(tmp_path / "out.csv")
    command = [sys.executable, "-c", HOLDS, out]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another run"), run_lock(out):
            pass
        other.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == ["out.csv.lock"]
    with run_lock(out):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_that_takes_no_file_is_left_to_those_who_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with run_lock(str(tmp_path / "file" / "out.csv")):
        pass
    assert os.listdir(tmp_path) == ["file"]
