"""FFmpeg's container, opened so that nothing but the bytes handed in is ever read, and only as audio."""

from __future__ import annotations

import functools
import io
from contextlib import suppress
from typing import Any

import av

from overtone.audio.av_errors import FAULTS
from overtone.audio.byte_reader import ByteReader
from overtone.audio.container_guard import guard
from overtone.audio.input_errors import over_memory, reason, unreadable
from overtone.audio.wav_header import is_plain_pcm16
from overtone.errors import Code, InputError

_BUFFER_BYTES = 65_536

_FORMATS = (
    "3gp,aac,ac3,aea,aiff,amr,ape,asf,ast,au,avi,avr,caf,dsf,dts,dtshd,dv,eac3,flac,flv,gxf,iff,ircam,latm,loas,"
    "m4a,matroska,mlp,mmf,mov,mp3,mp4,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,paf,pvf,qcp,rm,rso,sds,"
    "shn,sox,tak,truehd,tta,voc,w64,wav,webm,wsd,wtv,wv,xa,xwma"
)
"""Containers of audio. Not ADX, of which three kilobytes make FFmpeg divide by zero and end the process, nor NSV, of
which five take 1.6 GiB: neither is used for recordings."""

_FATAL_CODECS = frozenset({"adpcm_adx"})
"""Decoders that end the process, whatever container brings them."""

_PYAV = int(av.__version__.partition(".")[0])

_SAMPLES = {"max_probe_packets": "1", **({"max_size": "8192"} if _PYAV >= 18 else {})}
"""Of 16-bit samples in a WAV FFmpeg asks, for 32 packets and of every format it knows, whether they are a film's
sound in disguise. For a short clip that was twice the work of decoding it; where it cannot be, one packet is asked.
Packets of 8 kB instead of 2 are a quarter of the steps in Python; before PyAV 18 the last one is lost where the file is
cut short, so they stay small."""

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if _PYAV < 19 else {}
"""Header text that is not UTF-8 is not worth losing audio for. From PyAV 19 on that is so unasked."""


def open_container(feed: ByteReader, name: str) -> Any:
    """Open a PyAV container, after a look at its header. `InputError`: unreadable, empty, bad_header or not_audio."""
    guard(feed, name)
    options = {
        "format_whitelist": _FORMATS,  # a playlist or a list of files is not audio
        "codec_whitelist": _audio_codecs(),  # opening decodes a little; no picture needs to be
        "protocol_whitelist": "none",
    }
    if is_plain_pcm16(feed.peek(_BUFFER_BYTES)):
        options |= _SAMPLES
    try:
        container = av.open(
            feed, "r", container_options=options, buffer_size=_BUFFER_BYTES,
            io_open=lambda url, flags, options: io.BytesIO(), **_LENIENT,
        )  # fmt: skip
    except FAULTS as fault:
        feed.raise_interrupt()
        raise _refusal(feed, name, fault) from None
    feed.raise_interrupt()
    return container


def _refusal(feed: ByteReader, name: str, fault: BaseException) -> InputError:
    if feed.error is not None:
        return unreadable(name, feed.error)
    if isinstance(fault, MemoryError):
        return over_memory(name)
    if not feed.head:
        text = f"{name}: it is empty (no bytes to read); a file object must stand at its start"
        return InputError(text, code=Code.EMPTY)
    text = f"{name}: not audio that FFmpeg knows ({reason(fault)}); convert it to WAV, FLAC or MP3"
    return InputError(text, code=Code.NOT_AUDIO)


@functools.cache
def _audio_codecs() -> str:
    names = []
    for name in av.codecs_available - _FATAL_CODECS:
        with suppress(*FAULTS):
            if av.Codec(name, "r").type == "audio":
                names.append(name)
    return ",".join(names)
