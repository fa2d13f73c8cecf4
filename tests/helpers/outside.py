"""A test that opens a file beside the repository without asking for `data` fails, though the file is there.

Beside a clone there is nothing: such a test passes where it was written, and fails at whoever has only the repository.
Seen are what Python opens, what `soundfile` is told to, and what a child process is given by name; not what else a
library opens by itself, nor a look at whether a file is there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Watch:
    """Notes what is opened beside a repository while it is on. own: folders there that anyone may use."""

    def __init__(self, root: Path, own: Iterable[str | Path]) -> None:
        self._beside = _folder(root.parent)
        # In a clone in the temporary folder, say, not all that is in there too is what tests make.
        above = {_folder(one) for one in root.parent.parents}
        self._allowed = (_folder(root), *({_folder(one) for one in own} - above))
        self.on = False
        self.seen: list[str] = []

    def is_outside(self, path: Any) -> bool:
        """Whether this is a path to something beside the repository."""
        try:
            whole = _folder(os.fsdecode(path))
        except (TypeError, ValueError, OSError):  # a number, say, or the current folder was deleted
            return False
        return whole.startswith(self._beside) and not whole.startswith(self._allowed)

    def hear(self, event: str, told: tuple[Any, ...]) -> None:
        """An audit hook, to which Python tells what it does."""
        if not self.on:
            return
        if event == "open":
            self._note(told[0])
        elif event == "subprocess.Popen":
            _, arguments, folder, _ = told
            for one in [arguments] if isinstance(arguments, (str, bytes, os.PathLike)) else arguments:
                with contextlib.suppress(TypeError, ValueError):
                    path = os.path.join(os.fsdecode(folder or ""), os.fsdecode(one))
                    if os.path.exists(path):
                        self._note(path)

    def _note(self, path: Any) -> None:
        if self.is_outside(path):
            self.seen.append(os.path.abspath(os.fsdecode(path)))


def _folder(path: str | Path) -> str:
    """With a separator at its end, so that no other name begins with it."""
    return os.path.join(os.path.abspath(path), "")


watch = pytest.StashKey[Watch]()


def pytest_configure(config: pytest.Config) -> None:
    """Hooks cannot be taken out again: there is one, which heeds nothing between tests."""
    own = [tempfile.gettempdir(), sys.prefix, sys.base_prefix]
    own += [Path.home(), ROOT.anchor]  # beside a clone right there, programs keep what is theirs
    if config.option.basetemp:
        own.append(config.option.basetemp)
    config.stash[watch] = Watch(ROOT, own)
    sys.addaudithook(config.stash[watch].hear)
    with contextlib.suppress(ImportError, OSError):
        import soundfile

        opens = soundfile.SoundFile.__init__

        def tells(self: Any, file: Any, *more: Any, **named: Any) -> None:
            sys.audit("open", file, None, 0)
            opens(self, file, *more, **named)

        soundfile.SoundFile.__init__ = tells


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    watching = item.config.stash[watch]
    watching.seen.clear()
    watching.on = "data" not in getattr(item, "fixturenames", ())
    try:
        return (yield)
    finally:
        watching.on = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    result = yield
    if seen := item.config.stash[watch].seen:
        said = "opened what may not be there in a clone, without asking for the fixture `data`"
        pytest.fail(f"{said}: {', '.join(sorted({*seen}))}", pytrace=False)
    return result
