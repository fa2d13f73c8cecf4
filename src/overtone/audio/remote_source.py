"""`RemoteSource`: a source that another process decodes and resamples."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from overtone.audio.byte_reader import ByteReader
from overtone.audio.decoder_channel import ChannelError, Message
from overtone.audio.decoder_handle import DecoderHandle
from overtone.audio.input_errors import reason
from overtone.audio.source import Chunk
from overtone.audio.stream_spool import BegunStream
from overtone.audio.tracks import AudioTrack
from overtone.errors import Code, InputError, OvertoneError, UsageError
from overtone.types import SAMPLE_RATE

if TYPE_CHECKING:
    from overtone.audio.decoder_pool import DecoderPool

_MOST_READ = 1 << 20
"""Bytes that the process is given at once; FFmpeg asks for 64 KiB."""


class RemoteSource:
    """A source that another process decodes, and resamples: its chunks come at 16 kHz whatever `rate` says.

    A file of the system is handed over as it is open; of any other, the process asks for what it reads.
    """

    exact = False  # the claim was compared with what was decoded in the other process

    def __init__(
        self,
        pool: DecoderPool,
        process: DecoderHandle,
        file: Any,
        name: str,
        audio_track: int | None = None,
        *,
        header_only: bool = False,
    ) -> None:
        self._pool, self._process, self._file, self._name = pool, process, file, name
        self._audio_track, self._header_only = audio_track, header_only
        self._reader = ByteReader(file)
        self._open, self._done, self.aborted = True, False, False
        self._closed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self.silence_s = 0.0  # known at the end
        self.warnings: list[str] = []

    def begin(self) -> None:
        """Hand the file over. ChannelError if the process had ended before; BaseException closes it."""
        try:
            # Its position is the system's only where nothing is buffered here.
            begun = self._file if isinstance(self._file, BegunStream) else BegunStream(b"", self._file)
            descriptor = begun.file.fileno() if isinstance(begun.file, io.FileIO) else None
            head = b"" if descriptor is None else begun.head
            self._process.begin(self._name, descriptor, head, self._audio_track, header_only=self._header_only)
        except ChannelError:
            raise
        except BaseException:
            self.close()
            raise

    def describe(self) -> None:
        """Wait for what the header says. InputError as `FileSource` raises it, or for the process."""
        try:
            about = self._next("opened").about
            self.channels, self.rate = int(about["channels"]), int(about["rate"])
            self.codec, self.container, self.claimed_s = about["codec"], about["container"], about["claimed_s"]
            self.tracks = tuple(AudioTrack(**track) for track in about["tracks"])
            if self._header_only:
                self._next("done")
        except BaseException:
            self.close()
            raise

    def chunks(self) -> Iterator[Chunk]:
        """The samples as they come. InputError as `FileSource` raises it, or for the process."""
        while (message := self._next("block")).kind == "block":
            block = message.data.view(np.float32).reshape(int(message.about["channels"]), -1)
            self.channels = len(block)
            yield SAMPLE_RATE, block
        self.warnings += message.about["warnings"]
        self.silence_s = float(message.about["silence_s"])

    def _next(self, wanted: str) -> Message:
        """The next message of that kind, or the last one; what the process asks for is answered meanwhile."""
        while True:
            if not self._open:  # the process may be at another source by now
                raise UsageError(f"{self._name}: the Decoder was closed while its blocks were read")
            try:
                message = self._process.channel.receive()
                if message.kind in ("seekable", "read", "seek"):
                    self._answer(message)
                    continue
            except ChannelError:
                raise self.died() from None
            self._done = message.kind in ("done", "error")
            if message.kind == "error":
                raise InputError(message.about["message"], code=message.about["code"])
            assert self._done or message.kind == wanted
            return message

    def _answer(self, asked: Message) -> None:
        channel, reader = self._process.channel, self._reader
        if asked.kind == "read":
            data = reader.read(min(int(asked.about["size"]), _MOST_READ))
            reader.raise_interrupt()
            if reader.error is None:
                channel.send("data", data=data)
            else:
                channel.send("failed", reason=reason(reader.error))
        elif asked.kind == "seek":
            channel.send("position", value=reader.seek(int(asked.about["offset"]), int(asked.about["whence"])))
            reader.raise_interrupt()
        else:
            channel.send("seekable", value=reader.seekable())

    def died(self) -> OvertoneError:
        """The error of a source whose process has ended; the source is closed."""
        error = self._process.death(self._name)
        self.close()
        if self._pool.closed:
            return UsageError(f"{self._name}: the model was closed while this was decoded", code=Code.CLOSED)
        return error

    def abort(self) -> None:
        """End the process if it is still at this source, from any thread."""
        with self._lock:
            if self._open:
                self.aborted = True
                self._process.kill()

    def on_close(self, function: Callable[[], None]) -> None:
        """Call a function when the source is closed."""
        self._closed = function

    def close(self) -> None:
        """Return the process to the pool. May be called twice."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        self._pool.release(self._process, clean=self._done)
        self._closed()
