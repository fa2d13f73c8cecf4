"""Fixtures of many tests: small checkpoints, and a cache of their own."""

from __future__ import annotations

import gc
import locale
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Tests run in as many processes as there are cores. More threads in each wait for one another's cores, busily, which
# takes three times the processor time that the same sums take on one. Read where PyTorch and NumPy are first imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from helpers.converting import converting_here
from helpers.paths import ROOT
from overtone import EmotionRecognizer
from overtone.system.machine import rss_bytes, trim_heap
from overtone.system.memory import MIB

pytest_plugins = ("helpers.outside", "helpers.processes")

# What an example takes says nothing where the machine is busy.
hypothesis.settings.register_profile("overtone", deadline=None)
hypothesis.settings.load_profile("overtone")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Files of tests are skipped, saying so, where the package is installed without what only they import."""
    report: Any = yield
    if report.failed and (absent := re.search(r"No module named '(torch|openai|schemathesis)'", str(report.longrepr))):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {absent[1]} is not installed")
    return report


@pytest.hookimpl(trylast=True)  # after each has its marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest begin first, so that no process is left alone with one of them at the end."""
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path], item.path))


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests reaches them, and nothing they keep outlives them."""
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("OVERTONE_"):
            del os.environ[name]
    os.environ["OVERTONE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("settings"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    os.environ.clear()
    os.environ.update(kept)


class _Tidying:
    """Gives back what the models of tests leave behind: budgets are of the whole process, whatever ran before.

    Only where much is left: a collection of garbage goes through all that is there, and takes a second or two.
    """

    much_bytes = 32 * MIB

    def __init__(self) -> None:
        self._resident = rss_bytes()

    def __call__(self) -> None:
        if rss_bytes() > self._resident + self.much_bytes:
            gc.unfreeze()
            gc.collect()
            gc.freeze()  # as before the first test
            trim_heap()
            self._resident = rss_bytes()


@pytest.fixture(scope="session")
def _tidying() -> _Tidying:
    return _Tidying()


_IMPORTED = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)  # before what the test is given is there
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave what was imported out of collections of garbage, of which closing a model makes one.

    Each would go through all of PyTorch, pytest and what else is there: most of the time that a small model is used.
    """
    if len(sys.modules) > item.config.stash.get(_IMPORTED, 0) + 50:
        gc.collect()
        gc.freeze()
        item.config.stash[_IMPORTED] = len(sys.modules)


@pytest.fixture(scope="module", autouse=True)
def _tidy(_tidying: _Tidying) -> Iterator[None]:
    """No models of one file meet the next, nor the locale that a library has set, in which text is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)
    _tidying()


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network of random weights and nine classes."""
    pytest.importorskip("torch", reason="PyTorch, which makes the weights, is not installed")
    from overtone.models.emotion2vec import random_checkpoint

    return random_checkpoint.write(tmp_path_factory.mktemp("small") / "checkpoint")


@pytest.fixture(scope="session")
def recognizer(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    """A recognizer on that network, shared: calls change nothing in it."""
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB") as shared:
        yield shared


@pytest.fixture
def converted_here() -> Iterator[None]:
    """Conversions run in this process, and not in one of their own."""
    with converting_here():
        yield


@pytest.fixture
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are decoded in this process, and not in one of their own, half of what a small call takes."""
    monkeypatch.setenv("OVERTONE_DECODE", "threads")


@pytest.fixture(scope="session")
def data() -> Path:
    """A folder of more real audio, by the names of `CLIPS`; tests that need it are skipped, saying so, without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("more real audio than comes with the tests (../shared/data) is not here")
    return folder
