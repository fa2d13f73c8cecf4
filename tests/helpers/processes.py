"""Marks that tests have by themselves: `process` for those that start one, a browser or a server; `oracle` for FunASR.

What a test calls in these folders is followed down to the modules that only such tests use. What the package starts by
itself is not seen there: with `--quick`, which `make quick` gives, a test fails that starts one and has no mark. It
leaves out whole files, too, which need not even be imported: those that compare with FunASR, and those that take long.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]

PROCESS = (
    *("subprocess", "multiprocessing", "pty", "socket", "http", "httpx", "redis", "uvicorn", "playwright"),
    *("overtone.system.subprocess_call", "overtone.audio.decoder_pool", "overtone.conversion"),
    *("overtone.tools.tuning.trial", "overtone.tools.benchmark"),
    # A model of random weights is there to be run, and is converted for that, in a process of its own.
    *("overtone.models.emotion2vec.random_checkpoint", "random_checkpoint"),
)
"""Modules, and those below them. Whoever calls on one of these starts a process or talks over a network."""

ORACLE = ("funasr", "helpers.oracles")
"""Likewise; FunASR takes ten seconds to be imported."""

_COMPARES = re.compile(
    r'importorskip\("funasr"|^ {0,4}pytest\.importorskip\("funasr|^from helpers\.oracles\.emotion2vec import',
    re.MULTILINE,
)
"""Files that import it as they are imported themselves."""

ASYNC = frozenset({"start_server", "open_connection", "create_subprocess_exec"})
"""What asyncio calls that."""

UNSEEN = (
    "audio/test_decoder_pool.py",
    "backends/openvino/test_graphs.py",
    "bench/test_bench.py",
    "bench/test_kills.py",
    "bench/test_serve.py",
    "cli/test_bench.py::test_bench",
    "cli/test_options.py::test_models_that_cannot_be_had",
    "cli/test_tune.py::test_a_tuning",
    "conversion/test_conversion.py",
    "models/test_published.py",
    "pipelines/test_transcription.py::test_silence_has_no_words",
)
"""Tests that have others start processes, in ways that cannot be followed."""

LONG = (
    "backends/",
    *(f"cli/test_{name}.py" for name in ("app", "batch_run", "bench", "doctor", "emotion", "models")),
    *(f"cli/test_{name}.py" for name in ("options", "plan", "profile", "tune")),
    "conversion/",
    "merging/speakers/test_clustering.py",
    "models/emotion2vec/test_exactness.py",
    "models/layers/test_alibi_attention.py",
    "models/layers/test_flex_attention.py",
    "pipelines/test_copies.py",
    "pipelines/test_emotion.py",
    "pipelines/test_forks.py",
    "pipelines/test_transcription.py",
    "segmentation/fsmn/test_endpoint_detector.py",
    "server/ui/",
    "training/",
)
"""Files and folders that run whole models or import much: four fifths of the time of what has no mark."""

EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "socket.connect", "socket.bind"})
"""What Python tells an audit hook of a process that starts, or of a network."""


OPTION = "--quick"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="leave out what takes long; fail what starts a process unmarked")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption(OPTION) or not collection_path.is_relative_to(TESTS):
        return None
    name = collection_path.relative_to(TESTS).as_posix() + ("/" if collection_path.is_dir() else "")
    if name.startswith(LONG):
        return True
    if collection_path.name.startswith("test_") and _COMPARES.search(collection_path.read_text("utf-8")):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before -m looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reached = reached_by(item)
        if (
            any(is_below(name, PROCESS) for name in reached)
            or ASYNC & reached
            or any(map(item.nodeid.__contains__, UNSEEN))
        ):
            item.add_marker("process")
        if any(is_below(name, ORACLE) for name in reached):
            item.add_marker("oracle")


def reached_by(item: pytest.Item) -> frozenset[str]:
    """Modules that a test and its fixtures call on, by themselves or through what else is in these folders."""
    fixtures: Any = getattr(item, "_fixtureinfo", None)
    named = fixtures.name2fixturedefs if fixtures else {}
    function = getattr(item, "function", None)
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", None)  # of one with @given
    functions = [function, inner, *(found[-1].func for found in named.values())]
    return frozenset().union(*map(_reached, filter(None, functions)))


@functools.cache
def is_below(name: str, modules: tuple[str, ...]) -> bool:
    """Whether a module is one of those, or inside one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


@functools.cache
def _reached(thing: Any) -> frozenset[str]:
    return frozenset(_modules(thing, set()))


def _modules(thing: Any, seen: set[int]) -> Iterator[str]:
    """Of a function or class its module, and of one in these folders those of all that it names, and so on."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    module = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    if not isinstance(module, str):
        return
    yield module
    if isinstance(thing, ModuleType) or not _is_own(module):
        return
    if isinstance(thing, type):
        for one in (*thing.__bases__, *vars(thing).values()):
            yield from _modules(one, seen)
    elif isinstance(function := inspect.unwrap(getattr(thing, "__func__", thing)), FunctionType):
        for name in _names(function.__code__):
            if name in function.__globals__:
                yield from _modules(function.__globals__[name], seen)
            else:  # of what is imported right there, or an attribute
                yield name


def _is_own(module: str) -> bool:
    return str(getattr(sys.modules.get(module), "__file__", "")).startswith(str(TESTS))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.startswith("funasr."):  # of what pytest.importorskip imports
            yield constant


class _Watch:
    """Notes what starts while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []

    def hear(self, event: str, told: tuple[Any, ...]) -> None:
        if self.on and event in EVENTS:
            self.seen.append(f"{event} {told[0]!r}")


_watch = pytest.StashKey[_Watch]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_watch] = _Watch()
    if config.getoption(OPTION):
        sys.addaudithook(config.stash[_watch].hear)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    watch = item.config.stash[_watch]
    watch.seen.clear()
    watch.on = item.get_closest_marker("process") is None
    try:
        return (yield)
    finally:
        watch.on = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    result = yield
    if seen := item.config.stash[_watch].seen:
        pytest.fail(f"started without the mark `process`: {'; '.join(sorted({*seen}))}", pytrace=False)
    return result
