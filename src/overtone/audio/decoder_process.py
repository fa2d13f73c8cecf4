"""The program of a process that decodes: one file after the other, within the limits that it is started with."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import wave
from contextlib import suppress
from typing import Any

from overtone.audio.av_errors import over_memory
from overtone.audio.decoder import Decoder
from overtone.audio.decoder_channel import Channel, ChannelError, Message
from overtone.audio.decoder_limits import DecoderLimits, ProcessLimits
from overtone.errors import Code, InputError, OvertoneError


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
            _serve(request, channel, limits)
    os._exit(0)  # nobody reads what closing would write


def _warm_up() -> None:
    """Load the modules that the first file, good or bad, would load: none can be opened later."""
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
        with Decoder(source, name) as decoder:
            names = ("channels", "rate", "codec", "container", "claimed_s")
            channel.send("opened", **{key: getattr(decoder, key) for key in names})
            for block in decoder.channel_blocks():
                limits.progress(decoder.decoded_s)
                channel.send("block", data=block, channels=len(block))
            channel.send("done", warnings=list(decoder.warnings))
    except OvertoneError as error:
        channel.send("error", message=str(error), code=str(error.code))
    except ChannelError:
        raise
    except MemoryError:
        channel.send("error", message=str(over_memory(name)), code=str(Code.DECODER_MEMORY))
    except Exception as error:  # noqa: BLE001 - it belongs to this input, and the next one is to be served
        text = f"{name}: it met a fault of Overtone's own ({error!r}); please report it"
        channel.send("error", message=text, code=str(Code.FAULT))
    finally:
        os.close(file)


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
