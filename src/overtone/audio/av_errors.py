"""What PyAV raises, turned into `InputError` with a sentence that names the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av

from overtone.errors import InputError

FAULTS = (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError,
          AssertionError, EOFError)  # fmt: skip
"""Exceptions of PyAV's, seen and with room, that speak of the input. TypeError and AttributeError do not: they say that
PyAV was called in a way that this release of it does not know, which is no fault of the audio."""


@contextmanager
def faults_as(code: str, text: str) -> Iterator[None]:
    """Turn what PyAV raises into an `InputError`; used around calls of PyAV only, never around a yield."""
    try:
        yield
    except FAULTS as fault:
        raise InputError(f"{text} ({reason(fault)})", code=code) from None


def reason(fault: BaseException) -> str:
    """The shortest text that says what was wrong."""
    return str(getattr(fault, "strerror", None) or fault or type(fault).__name__)


def unreadable(name: str, fault: BaseException) -> InputError:
    """The error for a file or stream whose bytes cannot be had."""
    text = f"{name}: it cannot be read ({reason(fault)}); check the file and its permissions"
    return InputError(text, code="unreadable")
