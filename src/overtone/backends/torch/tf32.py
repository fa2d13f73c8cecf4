"""The precision in which CUDA multiplies float32: in full, or rounded to TF32's 10 bits of mantissa.

PyTorch's switches belong to the whole process. A batch borrows them: they are set while it runs and put back after.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch

_Value = TypeVar("_Value")


class Tf32Guard:
    """A lock on PyTorch's switches: shared by users of one precision, while users of the other wait. Thread-safe.

    First come, first served, so neither of two engines with different precisions starves the other.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._users = 0
        self._tf32 = False
        self._put_back: Callable[[], None] = _nothing

    @contextmanager
    def precision(self, *, tf32: bool) -> Iterator[None]:
        """Matrix products and convolutions of float32 on CUDA use TF32, or do not, while the `with` block runs."""
        self._enter(tf32)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, tf32: bool) -> None:
        place = object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._queue[0] is place and (not self._users or self._tf32 == tf32))
                if not self._users:
                    self._put_back = _set(tf32)
                self._users += 1
                self._tf32 = tf32
            finally:
                self._queue.remove(place)
                self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._users -= 1
            if not self._users:
                self._put_back()
            self._changed.notify_all()


def _set(tf32: bool) -> Callable[[], None]:
    """Set the switches; what comes back puts them where they were.

    Only what differs is touched. PyTorch's compiler refuses to work while its older switches (the word, `allow_tf32`)
    are at odds with the finer ones, which came with 2.9; setting the older ones sets both.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    word, finer = _readable(torch.get_float32_matmul_precision), _finer()
    products, convolutions = _readable(lambda: matmul.allow_tf32), _readable(lambda: cudnn.allow_tf32)
    if products is not tf32:
        if tf32:
            matmul.allow_tf32 = True
        else:
            torch.set_float32_matmul_precision("highest")
    if convolutions is not tf32:
        cudnn.allow_tf32 = tf32

    def put_back() -> None:
        if products is not tf32:
            if word is not None:
                torch.set_float32_matmul_precision(word)
            else:  # they were at odds: the older said the opposite of the finer
                matmul.allow_tf32 = matmul_finer != "tf32"
        if convolutions is not None:
            cudnn.allow_tf32 = convolutions
        for owner, value in finer:
            owner.fp32_precision = value

    matmul_finer = finer[0][1] if finer else None
    return put_back


def _readable(look: Callable[[], _Value]) -> _Value | None:
    """The value of a switch; None where PyTorch refuses to say, as it does while they are at odds."""
    with suppress(RuntimeError):
        return look()
    return None


def _finer() -> list[tuple[Any, str]]:
    """The finer switches, CUDA's matrix products first, and what they say; none before PyTorch 2.9."""
    cudnn = torch.backends.cudnn
    if not hasattr(cudnn, "conv"):
        return []
    mkldnn: Any = torch.backends.mkldnn  # its parts are made when it is imported, unseen by type checkers
    owners: list[Any] = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul]
    return [(owner, owner.fp32_precision) for owner in owners]


def _nothing() -> None:
    """Nothing is borrowed."""


SWITCHES = Tf32Guard()
"""The one pair that there is in a process."""
