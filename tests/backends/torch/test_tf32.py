"""The switches of float32 on CUDA are there without a device, so what becomes of them is tested without one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch

from overtone.backends.torch.tf32 import Tf32Guard

MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


def seen() -> dict[str, Any]:
    """All that can be read of them; None where PyTorch refuses to say."""
    looks: dict[str, Callable[[], Any]] = {
        "matmul": lambda: MATMUL.allow_tf32,
        "cudnn": lambda: CUDNN.allow_tf32,
        "word": torch.get_float32_matmul_precision,
    }
    if hasattr(CUDNN, "conv"):
        mkldnn: Any = torch.backends.mkldnn
        for name, owner in {"m": MATMUL, "conv": CUDNN.conv, "rnn": CUDNN.rnn, "cpu": mkldnn.matmul}.items():
            looks[name] = lambda owner=owner: owner.fp32_precision
    values = {}
    for name, look in looks.items():
        values[name] = None
        with suppress(RuntimeError):
            values[name] = look()
    return values


def finer() -> None:
    if not hasattr(CUDNN, "conv"):
        pytest.skip("this PyTorch has only the older switches")
    MATMUL.fp32_precision = "tf32"


SETTINGS: dict[str, Callable[[], None]] = {
    "untouched": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "finer": finer,
}


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    MATMUL.allow_tf32, CUDNN.allow_tf32 = False, True
    if hasattr(CUDNN, "conv"):
        mkldnn: Any = torch.backends.mkldnn
        MATMUL.fp32_precision, mkldnn.matmul.fp32_precision = "none", "none"


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("user", SETTINGS)
def test_they_are_set_while_a_batch_runs_and_put_back_after(user: str, tf32: bool) -> None:
    SETTINGS[user]()
    before = seen()
    with suppress(ZeroDivisionError), Tf32Guard().precision(tf32=tf32):
        assert MATMUL.allow_tf32 is tf32
        assert CUDNN.allow_tf32 is tf32
        # At odds, PyTorch's compiler would refuse to work.
        assert (torch.get_float32_matmul_precision() != "highest") is tf32
        raise ZeroDivisionError
    assert seen() == before


def test_those_who_want_the_same_share_it_and_the_last_puts_it_back() -> None:
    switches, before = Tf32Guard(), seen()
    first, second = switches.precision(tf32=True), switches.precision(tf32=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert MATMUL.allow_tf32 is True
    second.__exit__(None, None, None)
    assert seen() == before


def test_those_who_want_the_other_wait_and_are_not_overtaken() -> None:
    switches, order = Tf32Guard(), []

    def run(name: str, tf32: bool) -> None:
        with switches.precision(tf32=tf32):
            order.append((name, MATMUL.allow_tf32))

    with switches.precision(tf32=True):
        waiting = []
        for name, tf32 in (("other", False), ("same", True)):
            waiting.append(threading.Thread(target=run, args=(name, tf32)))
            waiting[-1].start()
            while len(switches._queue) < len(waiting):
                pass
        assert order == []
    for thread in waiting:
        thread.join(10)
    assert order == [("other", False), ("same", True)]
