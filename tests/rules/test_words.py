"""The words of the Makefile: each is told, and the benchmarks go on where one fails."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.paths import BENCH, ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORDS = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()


@pytest.fixture(autouse=True)
def _make() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)


def test_help_has_a_line_for_every_word():
    shown = make("help").stdout
    assert {word for line in re.findall(r"^  make ([a-z -]+?)  +\S", shown, re.MULTILINE) for word in line.split()} == {
        *WORDS
    }
    assert make().stdout == shown


def test_contributing_names_every_word():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = re.findall(r"^    make ([a-z -]+?) +# \S", page, re.MULTILINE)
    assert {word for line in told for word in line.split()} == {*WORDS}


@pytest.mark.parametrize(("broken", "code"), [((), 0), (("memory", "serve"), 2)])
def test_all_benchmarks_are_run_and_what_failed_is_said(tmp_path: Path, broken: tuple[str, ...], code: int):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    failing = " ".join(f"bench/{name}.py" for name in broken)
    python.write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/ran\nfor one in {failing}; do [ "$1" != "$one" ] || exit 1; done\n'
    )
    python.chmod(0o755)
    for mark in (".done-run", ".done-dev"):
        (tmp_path / mark).touch()
    ran = make("bench", f"VENV={tmp_path}")
    assert ran.returncode == code, ran.stderr
    asked = (tmp_path / "ran").read_text(encoding="utf-8").split()
    assert asked == [f"bench/{name}.py" for name in re.findall(r"^FIGURES := (.*)$", MAKEFILE, re.MULTILINE)[0].split()]
    assert all((ROOT / one).is_file() for one in asked)
    assert re.findall(r"^failed: (.*)$", ran.stderr, re.MULTILINE) == ([" ".join(broken)] if broken else [])


def test_every_benchmark_is_one_of_them():
    programs = {path.stem for path in BENCH.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    figures = {*re.findall(r"^FIGURES := (.*)$", MAKEFILE, re.MULTILINE)[0].split()}
    assert figures <= programs
    # What trials of a program leave there (`--small`) is no one's figure, and git ignores it.
    kept = {path.stem for path in (BENCH / "results").glob("*.md") if not path.stem.endswith("_small")}
    assert kept <= figures
