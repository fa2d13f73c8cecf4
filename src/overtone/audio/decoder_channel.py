"""Messages between this process and one that decodes: a few words as JSON, bytes beside them, and open files.

Nothing of what a decoder process says is executed: it has read strangers' bytes, so it is not trusted with pickles.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<II")
"""Bytes of JSON, and of data after it."""

_MOST_JSON, _MOST_DATA = 16 << 20, 64 << 20
"""Bytes that a message may claim. A block of 64 channels, the largest there is, has 4 MiB."""


class ChannelError(Exception):
    """The other process is gone, or said something that is no message."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message. data: uint8 (bytes,), to keep. file: descriptor of an open file that came along, to be closed."""

    kind: str
    about: Mapping[str, Any]
    data: npt.NDArray[np.uint8]
    file: int | None = None


class Channel:
    """Messages over one end of a pair of sockets, in order. One thread sends and receives at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(
        self, kind: str, /, *, data: bytes | npt.NDArray[Any] = b"", file: int | None = None, **about: Any
    ) -> None:
        """Send a message; waits while the other process has not read the ones before. ChannelError if it is gone."""
        view = data.reshape(-1).view(np.uint8).data if isinstance(data, np.ndarray) else memoryview(data)
        text = json.dumps([kind, about]).encode()
        head = _HEADER.pack(len(text), len(view)) + text
        try:
            if file is None:
                self._socket.sendall(head)
            else:
                sent = socket.send_fds(self._socket, [head], [file])
                self._socket.sendall(head[sent:])
            if view:
                self._socket.sendall(view)
        except OSError as error:
            raise ChannelError(str(error)) from error

    def receive(self, *, files: bool = False) -> Message:
        """The next message; waits for it. files: take open files that come along. ChannelError at the end."""
        try:
            file, head = self._begin() if files else (None, self._exactly(_HEADER.size).tobytes())
            json_bytes, data_bytes = _HEADER.unpack(head)
            if json_bytes > _MOST_JSON or data_bytes > _MOST_DATA:
                raise ChannelError("it is no message")
            kind, about = json.loads(self._exactly(json_bytes).tobytes())
            return Message(kind, about, self._exactly(data_bytes), file)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ChannelError(str(error)) from error

    def _begin(self) -> tuple[int | None, bytes]:
        """The header of a message, and the file that came with its first byte."""
        first, files, _, _ = socket.recv_fds(self._socket, _HEADER.size, 1)
        if not first:
            raise ChannelError("it has ended")
        return (files[0] if files else None), first + self._exactly(_HEADER.size - len(first)).tobytes()

    def _exactly(self, size: int) -> npt.NDArray[np.uint8]:
        data = np.empty(size, np.uint8)
        view, at = data.data, 0
        while at < size:
            got = self._socket.recv_into(view[at:])
            if not got:
                raise ChannelError("it has ended")
            at += got
        return data

    def set_timeout(self, seconds: float) -> None:
        """Wait for the other process no longer than that at a time; ChannelError then."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
