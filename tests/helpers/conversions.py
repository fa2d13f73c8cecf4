"""Conversions in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from overtone.system import subprocess_call


@contextmanager
def converted_in_this_process() -> Iterator[None]:
    """In the block, conversions run in this process, which has imported what they take, and not in one of their own.

    Starting that and importing PyTorch there is most of the time of a small one.
    """

    def run(function: Callable[..., None], *arguments: object, **_: object) -> None:
        function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_call, "run", run)
        yield
