"""Conversions in this process, of models that tests are to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from overtone import conversion
from overtone.models import checkpoints
from overtone.system import subprocess_call


@contextmanager
def converting_here() -> Iterator[None]:
    """In the block, conversions run in this process, which has imported what they take, and not in one of their own.

    Starting that and importing PyTorch there is most of the time of a small one.
    """

    def run(function: Callable[..., None], *arguments: object, **_: object) -> None:
        function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_call, "run", run)
        yield


def convert(*folders: Path | str) -> None:
    """Convert checkpoints here to float32, so that whoever loads them starts no process for it."""
    with converting_here():
        for folder in folders:
            conversion.converted(checkpoints.read(Path(folder), name="converted"), "fp32")
