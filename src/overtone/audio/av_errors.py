"""Exceptions of PyAV as `InputError`, each with a sentence that names the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av

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


def reason(fault: BaseException) -> str:
    """The shortest text that describes a fault."""
    return str(getattr(fault, "strerror", None) or fault or type(fault).__name__)


def refusal(fault: BaseException, name: str, code: Code, text: str) -> InputError:
    """The error for an input that PyAV met a fault with. text: the fault, and the remedy."""
    if isinstance(fault, MemoryError):
        return over_memory(name)
    return InputError(f"{name}: {text} ({reason(fault)})", code=code)


def over_memory(name: str) -> InputError:
    """The error for a file that takes more memory than decoding may."""
    text = (
        f"{name}: it takes more memory to decode than a file is given; its header may be damaged, or made to do harm: "
        "convert it to WAV or FLAC, or give more --memory"
    )
    return InputError(text, code=Code.DECODER_MEMORY)


def unreadable(name: str, fault: BaseException) -> InputError:
    """The error for a file or stream whose bytes cannot be read."""
    text = f"{name}: it cannot be read ({reason(fault)}); check the file and its permissions"
    return InputError(text, code=Code.UNREADABLE)
