"""Tests have the marks `process` and `oracle` by themselves (`tests/helpers/processes.py`)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import processes
from helpers.command import environment

TESTS = """
import asyncio, subprocess, sys
from http.server import ThreadingHTTPServer
from pathlib import Path
import pytest
from hypothesis import given, settings, strategies
from overtone.audio import DecoderPool

PRINT = [sys.executable, "-S", "-c", "print()"]

def run(): subprocess.run(PRINT, check=True)
def through(): run()
class Server(ThreadingHTTPServer): ...
class Uses:
    def method(self): through()

@pytest.fixture
def fixture(): return run()
@pytest.fixture
def over(fixture): return fixture

def test_calls(): run()
def test_calls_through(): through()
def test_calls_in_a_lambda(): (lambda: through())()
def test_uses_a_class(): Uses().method()
def test_asks_for_a_fixture(over): ...
def test_imports_it(): import subprocess as other; other.run(PRINT, check=True)
@settings(max_examples=1, deadline=None)
@given(strategies.none())
def test_is_given_values(value): run()
def test_serves(): assert Server
def test_listens(): assert asyncio.start_server
def test_decodes_elsewhere(): assert DecoderPool
def test_reads(): Path(__file__).read_bytes()
def test_hides(): getattr(sys.modules["sub" + "process"], "run")(PRINT, check=True)
def test_compares():
    import funasr
def test_compares_if_it_can(): pytest.importorskip("funasr.models")
"""

MARKED = {
    *("calls", "calls_through", "calls_in_a_lambda", "uses_a_class", "asks_for_a_fixture", "imports_it"),
    *("is_given_values", "serves", "listens", "decodes_elsewhere"),
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    tests = folder / "tests"
    (tests / "helpers").mkdir(parents=True, exist_ok=True)
    shutil.copy(processes.__file__, tests / "helpers")
    (tests / "test_all.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\npythonpath = tests\n")
    command = [sys.executable, "-m", "pytest", "-p", "helpers.processes", "-p", "no:cacheprovider", "-rA", "--tb=line"]
    # In as many columns as it takes: reasons are cut where a line of the terminal ends.
    given = {"PYTHONPATH": f"{tests}:{environment()['PYTHONPATH']}", "COLUMNS": "500"}
    return subprocess.run(
        [*command, *arguments, tests],
        cwd=folder,
        env=environment(**given, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def said(shown: str, how: str) -> set[str]:
    lines = [line.split() for line in shown.splitlines() if line.startswith(how) and "::" in line]
    return {words[-1 if len(words) == 1 else 1].split("::test_")[1] for words in lines}


def test_tests_that_start_a_process_are_marked(tmp_path: Path):
    ran = run(tmp_path, "-m", "process")
    assert said(ran.stdout, "PASSED") == MARKED, ran.stdout + ran.stderr
    assert said(run(tmp_path, "-m", "oracle", "--co", "-q").stdout, "tests/") == {"compares", "compares_if_it_can"}


def test_one_that_is_not_marked_and_starts_one_fails_where_none_may(tmp_path: Path):
    chosen = ("-m", "not process and not oracle")
    assert said(run(tmp_path, *chosen).stdout, "PASSED") == {"reads", "hides"}
    ran = run(tmp_path, *chosen, "--quick")
    assert said(ran.stdout, "PASSED") == {"reads"}, ran.stdout + ran.stderr
    assert said(ran.stdout, "FAILED") == {"hides"}
    # Newer Pythons tell of `os.posix_spawn` as well, and the reasons are sorted.
    assert re.search(r"started without the mark `process`: .*subprocess\.Popen", ran.stdout), ran.stdout
