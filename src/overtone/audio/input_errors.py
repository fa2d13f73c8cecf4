"""Errors of inputs that FFmpeg has no part in: raised also where PyAV is not imported."""

from __future__ import annotations

from overtone.errors import Code, InputError
from overtone.wording import param


def reason(fault: BaseException) -> str:
    """The shortest text that describes a fault."""
    return str(getattr(fault, "strerror", None) or fault or type(fault).__name__)


def over_memory(name: str) -> InputError:
    """The error for a file that takes more memory than decoding may."""
    text = (
        f"{name}: it takes more memory to decode than a file is given; its header may be damaged, or made to do harm: "
        f"convert it to WAV or FLAC, or give more {param('memory')}"
    )
    return InputError(text, code=Code.DECODER_MEMORY)


def unreadable(name: str, fault: BaseException) -> InputError:
    """The error for a file or stream whose bytes cannot be read."""
    text = f"{name}: it cannot be read ({reason(fault)}); check the file and its permissions"
    return InputError(text, code=Code.UNREADABLE)
