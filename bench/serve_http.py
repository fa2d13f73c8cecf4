"""HTTP/1.1 over a connection that is kept: as little as a load generator needs, so that it costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

HOST = "127.0.0.1"

_BOUNDARY = "overtone-bench-boundary"
_END = f"--{_BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def multipart(files: Iterable[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The content type, and the body that carries files, each a name and its content, as fields called `file`."""
    parts = []
    for name, content in files:
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts += [head.encode(), b"Content-Type: audio/wav\r\n\r\n", content, b"\r\n"]
    return f"multipart/form-data; boundary={_BOUNDARY}", b"".join([*parts, _END])


def post(path: str, name: str, content: bytes) -> bytes:
    """A whole request that sends one file."""
    kind, body = multipart([(name, content)])
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def marked(request: bytes, number: int) -> bytes:
    """The request with its file's last eight samples, PCM16, set to the hexadecimal digits of a number.

    Too quiet to be heard, but no two files are the same then: a service may answer equal ones together.
    """
    mark = b"".join(bytes((number >> shift & 15, 0)) for shift in range(0, 32, 4))
    view, stop = memoryview(request), len(request) - len(b"\r\n" + _END)
    return b"".join([view[: stop - len(mark)], mark, view[stop:]])


def get(path: str) -> bytes:
    """A whole request for a page."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


class Connection:
    """One connection to a port of this machine, opened when it is needed and again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> Reply:
        """The answer to a whole request. OSError or EOFError where the server goes away before its end."""
        if self._reader is not None and self._reader.at_eof():
            self.close()
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        try:
            # Not drained: an answer may come before all of the request is taken.
            self._writer.write(request)
            reply = await _reply(self._reader)
        except BaseException:
            self.close()
            raise
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent or reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        """Drop the connection; the next question opens another."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


async def _reply(reader: asyncio.StreamReader) -> Reply:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join([chunk async for chunk in _chunks(reader)])
    else:
        body = await reader.read()
    return Reply(int(first.split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
