"""The program of a process that decodes: one file after the other, within the limits that it is started with."""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import wave
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NoReturn

import av

from overtone.audio.decoder import Decoder
from overtone.audio.decoder_channel import Channel, ChannelError, Message
from overtone.audio.decoder_limits import DecoderLimits, ProcessLimits
from overtone.audio.input_errors import over_memory
from overtone.audio.opus_packets import OPUS_RATE, OpusPackets, OpusStream, WebmOpus
from overtone.audio.stream_spool import BegunStream
from overtone.errors import Code, InputError, OvertoneError

STREAM = "the stream"
"""The name of any live stream, in errors."""

_LEAST_PACKET_S = 0.0025
"""Seconds that a message counts for, also a bad one: the shortest frame of Opus (RFC 6716, section 2.1.4)."""

_PROGRAMS = frozenset({"av.__main__", "av.datasets"})
"""Modules of PyAV that decode nothing."""


def main(descriptor: int, allowed: str) -> None:
    """Decode sources one after the other, until the process that started this one is gone.

    descriptor: of this end of a pair of sockets. allowed: `DecoderLimits` as JSON.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to answer, which then ends this one
    os.dup2(2, 1)  # whatever a library prints
    channel = Channel(socket.socket(fileno=descriptor))
    _warm_up()
    limits = ProcessLimits(DecoderLimits(**json.loads(allowed)))
    limits.enter(spare=_lowest_free())
    with suppress(ChannelError):
        channel.send("ready")
        while not limits.worn_out:
            request = channel.receive(files=True)
            limits.begin()
            if request.kind == "packets":
                _serve_packets(channel, limits)
            _serve(request, channel, limits)
    os._exit(0)  # nobody reads what closing would write


def _warm_up() -> None:
    """Load the modules that any file, good or bad, would load: none can be opened later."""
    for module in pkgutil.walk_packages(av.__path__, "av."):  # PyAV loads some when a track of their kind comes
        if module.name not in _PROGRAMS:
            with suppress(ImportError):
                importlib.import_module(module.name)
    wav = io.BytesIO()
    with wave.open(wav, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(4 * 800))
    for data in (wav.getvalue(), wav.getvalue()[:300], b"no audio" * 100):
        with suppress(InputError), Decoder(data, "warm-up") as decoder:
            list(decoder.channel_blocks())


def _lowest_free() -> int:
    free = os.dup(0)
    os.close(free)
    return free


def _serve(request: Message, channel: Channel, limits: ProcessLimits) -> None:
    name = request.about["name"]
    # With a descriptor in the only place there is, nothing else can be opened meanwhile.
    file = os.dup(0) if request.file is None else request.file
    try:
        channel.send("begun")
        source: Any = _AskedFile(channel) if request.file is None else io.FileIO(file, "rb", closefd=False)
        if request.data.nbytes:
            source = BegunStream(request.data.tobytes(), source)
        with Decoder(source, name, audio_track=request.about["audio_track"]) as decoder:
            names = ("channels", "rate", "codec", "container", "claimed_s")
            tracks = [asdict(track) for track in decoder.tracks]
            channel.send("opened", tracks=tracks, **{key: getattr(decoder, key) for key in names})
            for block in () if request.about["header_only"] else decoder.channel_blocks():
                limits.progress(decoder.decoded_s, decoder.silence_s)
                channel.send("block", data=block, channels=len(block))
            channel.send("done", warnings=list(decoder.warnings), silence_s=decoder.silence_s)
    except OvertoneError as error:
        channel.send("error", message=error.template, code=str(error.code))
    except ChannelError:
        raise
    except MemoryError:
        channel.send("error", message=over_memory(name).template, code=str(Code.DECODER_MEMORY))
    except Exception as error:  # noqa: BLE001 - it belongs to this input, and the next one is to be served
        text = f"{name}: it met a fault of Overtone's own ({error!r}); please report it"
        channel.send("error", message=text, code=str(Code.FAULT))
    finally:
        os.close(file)


def _serve_packets(channel: Channel, limits: ProcessLimits) -> NoReturn:
    """Decode messages of streams until the other process is gone; then ChannelError."""
    streams: dict[int, OpusStream] = {}
    decoded_s = 0.0
    channel.send("begun")
    while True:
        request = channel.receive()
        number = request.about["stream"]
        if request.kind == "forget":
            streams.pop(number, None)
            continue
        heard_s = 0.0
        try:
            if number not in streams:
                streams[number] = _opened(request)
            stream = streams[number]
            ended = request.kind == "finish"
            samples = stream.finish() if ended else stream.decode(request.data.tobytes())
            warnings = list(stream.warnings()) if ended else []
        except InputError as error:
            channel.send("error", message=error.template, code=str(error.code))
        except MemoryError:
            text = f"{STREAM}: it takes more memory to decode than a stream is given; send it as PCM16"
            channel.send("error", message=text, code=str(Code.DECODER_MEMORY))
        else:
            channel.send("samples", data=samples, warnings=warnings)
            heard_s = len(samples) / OPUS_RATE
        decoded_s += max(heard_s, _LEAST_PACKET_S)
        limits.progress(decoded_s)


def _opened(request: Message) -> OpusStream:
    """The decoder of a stream of which this process gets the first message. InputError where WebM began in another."""
    if request.about["form"] == "webm":
        if request.about["begun"]:
            text = f"{STREAM}: the process that read its WebM ended, and knew what is in it; open another stream"
            raise InputError(text, code=Code.DECODER_DIED)
        return WebmOpus(STREAM)
    return OpusPackets(request.about["channels"], STREAM)


class _AskedFile:
    """A file of the other process, which reads it when it is asked to."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._seekable = bool(self._ask("seekable").about["value"])

    def seekable(self) -> bool:
        return self._seekable

    def read(self, size: int) -> bytes:
        return self._ask("read", size=size).data.tobytes()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position: int = self._ask("seek", offset=offset, whence=whence).about["value"]
        if position < 0:
            raise OSError("it cannot seek there")
        return position

    def tell(self) -> int:
        return self.seek(0, os.SEEK_CUR)

    def _ask(self, kind: str, **about: Any) -> Message:
        self._channel.send(kind, **about)
        answer = self._channel.receive()
        if answer.kind == "failed":
            raise OSError(answer.about["reason"])
        return answer
