"""Standard output where whoever started this process closed it."""

from __future__ import annotations

import errno
import io
import os
from typing import NoReturn


class ClosedStream(io.TextIOBase):
    """A stream that takes nothing: writing raises OSError (EBADF), as to any closed descriptor.

    Answers that went nowhere would look like a run that did what it was asked.
    """

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding that text is made ready for."""
        return "utf-8"

    def writable(self) -> bool:
        """Writing is what it is for."""
        return True

    def write(self, text: str, /) -> NoReturn:
        """Refuse."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
