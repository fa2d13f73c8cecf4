"""Bounds of requests on a connection: bytes that two programs could read in two ways are refused.

A proxy and a service that disagree on where a request ends can be made to: what one takes for a body, the other answers
as a request of somebody else (request smuggling). RFC 9112 leaves to a server whether to mend such requests or refuse
them; these are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from overtone.server.middleware.targets import ABSOLUTE

MOST_HEAD_BYTES = 32 << 10
"""Of a request line and its headers."""

MOST_TARGET_BYTES = 8 << 10
"""Of a path with its query. RFC 9112, section 3, asks for 8000 at the least."""

_MOST_CHUNK_LINE_BYTES = 256
"""Of the line before a chunk: a size in hexadecimal, and extensions, of which there are none in use."""

_AMBIGUOUS = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""A line end that is half of one, or a control character (RFC 9110, section 5.5)."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_TARGET = re.compile(rb"(?:/|" + ABSOLUTE + rb")[\x21\x22\x24-\x7e]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e]*)?")

_Part = Literal["head", "body", "chunk line", "chunk", "chunk end", "trailer"]


class FramingError(ValueError):
    """Bytes that are no request, or could be two. complete_bytes: of those just fed, how many came before the request
    at fault."""

    complete_bytes = 0


class RequestFraming:
    """Follows the requests on one connection, and raises FramingError where one cannot be read in one way only.

    between: True after a whole request, and before the first.
    """

    def __init__(self) -> None:
        self._part: _Part = "head"
        self._seen = bytearray()  # of a head, or of a line, that is not complete
        self._left_bytes = 0  # of a body or a chunk
        self._trailer_bytes = 0

    @property
    def between(self) -> bool:
        """True if what was fed ends where a request ends."""
        return self._part == "head" and not self._seen

    def feed(self, data: bytes) -> None:
        """Take what came next. FramingError at the first byte that makes the request unclear; it cannot go on then."""
        at = complete = 0
        try:
            while at < len(data):
                at = self._step(data, at)
                if self.between:
                    complete = at
        except FramingError as error:
            error.complete_bytes = complete
            raise

    def _step(self, data: bytes, at: int) -> int:
        """Take a part of a request from the data; gives where the next begins."""
        if self._part == "head":
            return self._head(data, at)
        if self._part in ("body", "chunk"):
            taken = min(self._left_bytes, len(data) - at)
            self._left_bytes -= taken
            if not self._left_bytes:
                self._part = "head" if self._part == "body" else "chunk end"
            return at + taken
        line, at = self._line(data, at)
        if line is not None:
            self._after_line(line)
        return at

    def _head(self, data: bytes, at: int) -> int:
        old = len(self._seen)
        self._seen += data[at : at + MOST_HEAD_BYTES + 4 - old]
        end = self._seen.find(b"\r\n\r\n", max(0, old - 3))
        stop = len(self._seen) if end < 0 else end + 4
        if _AMBIGUOUS.search(self._seen, max(0, old - 1), stop):
            raise FramingError("a head has lines that end in CR LF, and no other control character")
        if end < 0:
            if len(self._seen) > MOST_HEAD_BYTES:
                raise FramingError(f"its head has more than {MOST_HEAD_BYTES >> 10} KiB")
            return at + len(self._seen) - old
        lines = bytes(self._seen[:end]).split(b"\r\n")
        self._seen.clear()
        self._begin(lines)
        return at + stop - old

    def _begin(self, lines: list[bytes]) -> None:
        """Go on with the body that a head announces."""
        minor = _minor_version(lines[0])
        headers: dict[bytes, bytes] = {}
        for line in lines[1:]:
            name, value = _header(line)
            if name in _SINGLE and name in headers:
                raise FramingError(f"{name.decode()} is given twice")
            headers[name] = value
        if minor and b"host" not in headers:
            raise FramingError("it has no Host")
        self._left_bytes = _length(headers, minor)
        if b"transfer-encoding" in headers:
            self._part = "chunk line"
        elif self._left_bytes:
            self._part = "body"

    def _line(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """The next line without its end, None where it is not complete; and where the data goes on."""
        old = len(self._seen)
        most = 2 if self._part == "chunk end" else _MOST_CHUNK_LINE_BYTES
        self._seen += data[at : at + most + 2 - old]
        end = self._seen.find(b"\n", max(0, old - 1))
        stop = len(self._seen) if end < 0 else end + 1
        if _AMBIGUOUS.search(self._seen, max(0, old - 1), stop) or (end < 0 and len(self._seen) >= most):
            raise FramingError("a chunk is not one")
        if end < 0:
            return None, at + len(self._seen) - old
        line = bytes(self._seen[: end - 1])
        self._seen.clear()
        return line, at + stop - old

    def _after_line(self, line: bytes) -> None:
        if self._part == "chunk line":
            found = _CHUNK_LINE.fullmatch(line)
            if found is None:
                raise FramingError("the size of a chunk is not one")
            self._left_bytes = int(found[1], 16)
            self._part = "chunk" if self._left_bytes else "trailer"
            self._trailer_bytes = 0
        elif self._part == "chunk end":
            if line:
                raise FramingError("a chunk is longer than its size")
            self._part = "chunk line"
        elif line:
            _header(line)
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MOST_TARGET_BYTES:
                raise FramingError("its trailer is too long")
        else:
            self._part = "head"


_SINGLE = frozenset({b"content-length", b"transfer-encoding", b"host", b"content-type", b"authorization"})
"""Headers of which a second one could be the one that another program goes by."""


def _minor_version(line: bytes) -> int:
    """The minor version of HTTP that a request line names."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise FramingError("it does not begin with a method, a path and HTTP/1.1")
    method, target, minor = found.groups()
    if method == b"CONNECT" or not (_TARGET.fullmatch(target) or (target == b"*" and method == b"OPTIONS")):
        raise FramingError("it asks for something that is neither a path nor a URL")
    if len(target) > MOST_TARGET_BYTES:
        raise FramingError(f"its path has more than {MOST_TARGET_BYTES >> 10} KiB")
    return int(minor)


def _header(line: bytes) -> tuple[bytes, bytes]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise FramingError("a header is not a name, a colon and a value on one line")
    return found[1].lower(), found[2]


def _length(headers: Mapping[bytes, bytes], minor: int) -> int:
    """Bytes of a body by its Content-Length; 0 where there is none."""
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise FramingError("it has both a Content-Length and a Transfer-Encoding")
        if coding.lower() != b"chunked" or not minor:
            raise FramingError("its Transfer-Encoding is not chunked alone, or it is of HTTP/1.0")
        return 0
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise FramingError("its Content-Length is no number")
    return int(length)
