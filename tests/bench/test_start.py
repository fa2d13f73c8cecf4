"""The benchmark of a start, with the smallest model."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from bench.test_bench import bench  # noqa: F401 - a fixture

pytestmark = pytest.mark.process


@pytest.fixture
def start(bench: ModuleType) -> ModuleType:  # noqa: F811
    """bench/start.py."""
    return importlib.import_module("start")


def test_a_start_is_timed_and_taken_apart(start: ModuleType, tmp_path: Path) -> None:
    given = argparse.Namespace(shape="small", only=["tiny"], source=None, repeats=1, prepare=1)
    found = start.measure(given, tmp_path)
    (times,) = found["times"].values()
    assert 0 < times["first_s"][0] <= times["end_s"][0]
    assert list(found["steps"]["tiny"]) == ["interpreter", "imports", "model", "result", "closed"]
    assert all(seconds >= 0 for seconds in found["steps"]["tiny"].values())
    assert found["same_answers"] == {"tiny": True}


def test_a_start_that_fails_says_how(start: ModuleType, tmp_path: Path) -> None:
    import sys

    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(RuntimeError, match="ended with 1: no such model"):
        start.start(command, start.environment(tmp_path, tmp_path), tmp_path)
