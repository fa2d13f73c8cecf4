"""Opus of live streams decoded in another process: one for all streams, as what they hold there is little.

Where a message ends that process, the stream that it is of has an error. The others go on in a new process, in which
their decoders begin anew: they hear a few hundredths of a second less well. A stream of WebM does not, as its beginning
describes it.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overtone.audio.decoder_channel import ChannelError, Message
from overtone.audio.decoder_handle import DecoderHandle
from overtone.audio.decoder_limits import DecoderLimits
from overtone.errors import Code, InputError, UsageError
from overtone.system.memory import MIB
from overtone.types import Samples

LIMITS = DecoderLimits(memory_bytes=16 * MIB)
"""Of the process: a stream's decoder and demuxer hold less than 1 MiB."""

MOST_WEBM_BYTES = 1024
"""Bytes of WebM in a message. At the most they hold 145 packets, of silence and 120 ms each (RFC 6716, section 2.1.4):
17 s, which are 3.3 MiB of samples at 48 kHz."""

_LONGEST_WAIT_S = 30.0
"""Seconds until a process that says nothing is ended. A packet takes a thousandth, a start some tenths."""

_REMEDY = "send the stream as PCM16"


class PacketDecoder:
    """A process that decodes Opus, started at the first message and again after it has died. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: DecoderHandle | None = None
        self._numbers = itertools.count()
        self._closed = False
        self._finalizer: weakref.finalize[..., PacketDecoder] | None = None

    def open(self, channels: int, name: str) -> RemoteOpus:
        """A stream of packets of 1 or 2 channels. name: of the stream, in errors."""
        return RemoteOpus(self, next(self._numbers), {"form": "packets", "channels": channels}, name)

    def open_webm(self, name: str) -> RemoteOpus:
        """A stream of WebM with Opus in it, in pieces cut anywhere. name: of the stream, in errors."""
        return RemoteOpus(self, next(self._numbers), {"form": "webm"}, name)

    def decode(self, stream: RemoteOpus, message: bytes, *, end: bool = False) -> Samples:
        """The samples that a message adds, or the end, as `OpusPackets` and `WebmOpus` give them.

        InputError for a bad message, or for one that ended the process; UsageError once closed.
        """
        with self._lock:
            process = self._process_for_packets()
            try:
                if not process.served:
                    process.begin_packets(_LONGEST_WAIT_S)
                kind, about = "finish" if end else "packet", {"stream": stream.number, "begun": stream.begun}
                process.channel.send(kind, data=message, **about, **stream.about)
                answer = process.channel.receive()
            except ChannelError:
                self._process = None
                if self._closed:
                    raise _closed() from None
                raise process.death(stream.name, _REMEDY) from None
            stream.begun = True
            if answer.kind == "error" and answer.about["code"] == Code.DECODER_MEMORY:
                self._end()  # what fills it would be there for the next packet, too
        samples = _samples(answer, stream.name)
        if end:
            stream.warned = tuple(map(str, answer.about["warnings"]))
        return samples

    def _process_for_packets(self) -> DecoderHandle:
        if self._closed:
            raise _closed()
        if self._process is not None and not self._process.dead:
            return self._process
        self._end()
        process = DecoderHandle(LIMITS)
        self._finalizer = weakref.finalize(self, process.end)
        self._process = process
        return process

    def forget(self, stream: RemoteOpus) -> None:
        """Free what a stream holds there."""
        with self._lock:
            if self._process is not None and not self._process.dead:
                try:
                    self._process.channel.send("forget", stream=stream.number)
                except ChannelError:
                    self._end()

    @property
    def pids(self) -> list[int]:
        """The id of the process, if there is one now."""
        process = self._process
        return [] if process is None or process.dead else [process.pid]

    def close(self) -> None:
        """End the process; streams that are still open break off."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()  # whoever waits for it breaks off, and gives the lock back
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None


class RemoteOpus:
    """One stream that is decoded in another process; like `OpusPackets` or `WebmOpus` for its caller.

    about: what the process has to know to begin it. `begun`: whether one has had a message of it.
    """

    def __init__(self, decoder: PacketDecoder, number: int, about: Mapping[str, Any], name: str) -> None:
        self.number, self.about, self.name = number, about, name
        self.begun = False
        self.warned: tuple[str, ...] = ()
        self._decoder = decoder

    def decode(self, message: bytes) -> Samples:
        """As `PacketDecoder.decode`."""
        return self._decoder.decode(self, message)

    def finish(self) -> Samples:
        """The samples that are left; called again, where there are `MOST_SAMPLES`. Errors as `decode`."""
        # No process has to be started for a stream that has not begun.
        return self._decoder.decode(self, b"", end=True) if self.begun else np.zeros(0, np.float32)

    def warnings(self) -> Sequence[str]:
        """Warnings, once `finish` was called."""
        return self.warned

    def close(self) -> None:
        """Free what the stream holds."""
        self._decoder.forget(self)


def _samples(answer: Message, name: str) -> Samples:
    if answer.kind == "samples" and answer.data.nbytes % 4 == 0:
        samples: Samples = answer.data.view(np.float32)
        if np.isfinite(samples).all():
            return samples
    if answer.kind == "error":
        raise InputError(str(answer.about["message"]), code=Code(answer.about["code"]))
    raise InputError(f"{name}: the process that decodes said nothing that is known", code=Code.DECODER_DIED)


def _closed() -> UsageError:
    return UsageError("the model was closed before this could be decoded", code=Code.CLOSED)
