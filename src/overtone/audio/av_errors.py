"""Exceptions of PyAV as `InputError`, each with a sentence that names the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av

from overtone.audio.input_errors import over_memory, reason
from overtone.errors import Code, InputError

FAULTS = (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError,
          AssertionError, EOFError)  # fmt: skip
"""Exceptions of PyAV's, seen and with room, that speak of the input. TypeError and AttributeError do not: they say that
PyAV was called in a way that this release of it does not know, which is no fault of the audio."""


@contextmanager
def faults_as(code: Code, name: str, text: str) -> Iterator[None]:
    """Turn an exception of PyAV into an `InputError`. Used around calls of PyAV only, never around a yield."""
    try:
        yield
    except FAULTS as fault:
        raise refusal(fault, name, code, text) from None


def refusal(fault: BaseException, name: str, code: Code, text: str) -> InputError:
    """The error for an input that PyAV met a fault with. text: the fault, and the remedy."""
    if isinstance(fault, MemoryError):
        return over_memory(name)
    return InputError(f"{name}: {text} ({reason(fault)})", code=code)
