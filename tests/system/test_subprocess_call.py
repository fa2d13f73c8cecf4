"""Work in a process of its own: done there, its errors raised here, and nothing left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.children import die, hold, raise_what_cannot_travel, refuse, write_pid
from overtone.errors import CheckpointError, ModelError, OutOfMemory
from overtone.system import subprocess_call


def test_it_is_done_in_another_process(tmp_path: Path) -> None:
    subprocess_call.run(write_pid, tmp_path / "pid")
    assert int((tmp_path / "pid").read_text()) != os.getpid()


def test_its_error_is_raised_here() -> None:
    with pytest.raises(CheckpointError, match="half of it") as caught:
        subprocess_call.run(refuse, "half of it")
    assert caught.value.code == "torn"
    with pytest.raises(RuntimeError, match="UnportableError: this and that"):
        subprocess_call.run(raise_what_cannot_travel)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(ModelError, match="ended with 3") as caught:
        subprocess_call.run(die)
    assert caught.value.code == "process_died"


def test_one_that_holds_more_than_it_may_is_ended(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"it held \d+ MiB, and 256 MiB were left"):
        subprocess_call.run(hold, 1 << 30, allowed_bytes=lambda: 256 << 20)
    subprocess_call.run(write_pid, tmp_path / "pid", allowed_bytes=lambda: 8 << 30)
    assert (tmp_path / "pid").exists()
