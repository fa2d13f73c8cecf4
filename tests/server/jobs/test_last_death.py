"""A process that crashes leaves why; one that is killed leaves nothing; and the next one reads it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.command import environment
from overtone.server.jobs.last_death import DeathWatch, out_of_memory_kills, was_own_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", False),  # it ended in order, or there was none
        ("boot 7\n", False),  # it was killed
        ("boot 6\n", True),  # meanwhile the machine ended a process for lack of memory
        ("other 6\n", False),  # the machine was started anew, and counts anew
        ("boot 7\nFatal Python error: Segmentation fault\n", True),
        ("other 9\nFatal Python error: Aborted\n", True),
        ("boot \n", False),
        ("\udcff", False),
    ],
)
def test_how_a_process_ended(text: str, fault: bool) -> None:
    assert was_own_fault(text, "boot", 7) is fault


WATCHED = """
import ctypes, os, signal, sys
from pathlib import Path
from overtone.server.jobs.last_death import DeathWatch

watch = DeathWatch(Path(sys.argv[1]))
print(watch.begin(), flush=True)
if sys.argv[2] == "end":
    watch.end()
elif sys.argv[2] == "crash":
    ctypes.string_at(0)
else:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_process_leaves_is_read_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "running"

    def run(how: str) -> tuple[str, int, str]:
        command = [sys.executable, "-c", WATCHED, str(path), how]
        done = subprocess.run(
            command, env=environment(), capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        return done.stdout.strip(), done.returncode, done.stderr

    assert run("crash")[:2] == ("False", -signal.SIGSEGV)
    before, code, log = run("kill")
    assert (before, code) == ("True", -signal.SIGKILL)
    assert "Segmentation fault" in log
    assert run("end")[:2] == ("False", 0)
    assert not path.exists()


def test_where_it_cannot_be_written_nothing_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = DeathWatch(tmp_path / "missing" / "running")
    assert not watch.begin()
    assert "will not be known" in caplog.text
    watch.end()


def test_the_machine_counts() -> None:
    assert out_of_memory_kills() >= 0
