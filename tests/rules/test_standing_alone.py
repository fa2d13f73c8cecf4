"""A test that opens what is not in the repository, and would not be in a clone of it, fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import outside
from helpers.command import environment

TESTS = """
import subprocess, sys
from pathlib import Path
import pytest
import soundfile

BESIDE = Path(__file__).parents[2] / "shared"
PRINT = [sys.executable, "-S", "-c", "import sys; print(sys.argv[1])"]

@pytest.fixture
def data():
    return BESIDE

@pytest.fixture(scope="module")
def text():
    return (BESIDE / "a.txt").read_text()

def test_opens(): (BESIDE / "a.txt").read_bytes()
def test_opens_by_a_relative_name(monkeypatch): monkeypatch.chdir(BESIDE), open("a.txt").close()
def test_has_a_fixture_open_it(text): ...
def test_has_a_library_open_it(): soundfile.read(BESIDE / "a.wav")
def test_names_it_to_a_child(): subprocess.run([*PRINT, BESIDE / "a.txt"], check=True)
def test_names_it_to_a_child_there(): subprocess.run([*PRINT, "a.txt"], cwd=BESIDE, check=True)

def test_asks_for_data(data): (data / "a.txt").read_bytes(), subprocess.run([*PRINT, data / "a.txt"], check=True)
def test_opens_its_own(tmp_path): Path(__file__).read_bytes(), (tmp_path / "b").write_bytes(b"")
def test_names_what_is_not_there(): subprocess.run([*PRINT, BESIDE / "b.txt"], check=True)
"""


def test_tests_that_open_what_is_beside_the_repository_without_asking_fail(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    tests, beside = tmp_path / "repository" / "tests", tmp_path / "shared"
    tests.mkdir(parents=True)
    beside.mkdir()
    (tests / "helpers").mkdir()
    shutil.copy(outside.__file__, tests / "helpers")
    (tests / "test_all.py").write_text(TESTS, encoding="utf-8")
    (beside / "a.txt").write_text("a", encoding="utf-8")
    shutil.copy(outside.ROOT / "examples" / "angry.wav", beside / "a.wav")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "helpers.outside",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--tb=line",
        tests,
    ]
    env = environment(PYTHONPATH=str(tests), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    run = subprocess.run(command, check=False, cwd=tests.parent, env=env, capture_output=True, encoding="utf-8")
    results = [line.split() for line in run.stdout.splitlines() if "::" in line]
    said = {words[1].split("::")[1]: words[0] for words in results}
    assert said == {
        "test_opens": "FAILED",
        "test_opens_by_a_relative_name": "FAILED",
        "test_has_a_fixture_open_it": "FAILED",
        "test_has_a_library_open_it": "FAILED",
        "test_names_it_to_a_child": "FAILED",
        "test_names_it_to_a_child_there": "FAILED",
        "test_asks_for_data": "PASSED",
        "test_opens_its_own": "PASSED",
        "test_names_what_is_not_there": "PASSED",
    }, run.stdout + run.stderr
    assert f"without asking for the fixture `data`: {beside / 'a.txt'}" in run.stdout


@pytest.mark.parametrize(
    ("root", "path", "is_outside"),
    [
        ("/work/overtone", "/work/shared/data/a.wav", True),
        ("/work/overtone", b"/work/overtone-2/a.wav", True),
        ("/work/overtone", Path("/work/overtone/../shared"), True),
        ("/work/overtone", "/work/overtone/tests/data/a.wav", False),
        ("/work/overtone", "/work/venv/lib/python/os.py", False),
        ("/work/overtone", "/etc/hosts", False),
        ("/work/overtone", 3, False),
        ("/tmp/clones/overtone", "/tmp/clones/shared/a.wav", True),
        ("/tmp/clones/overtone", "/tmp/pytest/a.wav", False),
        ("/tmp/overtone", "/tmp/shared/a.wav", False),  # as well a test's own
        ("/home/me/overtone", "/home/me/.cache/fonts", False),
        ("/home/me/src/overtone", "/home/me/src/shared", True),
        ("/overtone", "/etc/hosts", False),
    ],
)
def test_what_is_outside(root: str, path: object, is_outside: bool) -> None:
    watch = outside.Watch(Path(root), ["/tmp", "/work/venv", "/home/me", "/"])
    assert watch.is_outside(path) == is_outside
