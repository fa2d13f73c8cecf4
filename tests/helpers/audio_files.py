"""Small audio files made on the fly: WAV headers written by hand (and lying), everything else by PyAV."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def voice(seconds: float, rate: int = 16_000, channels: int = 1) -> Floats:
    """A sliding tone per channel with a wobbling level, (channels, n): nothing in it repeats, so that
    correlation finds any shift. Channel k is an octave-and-a-bit above channel k - 1."""
    t = np.arange(round(seconds * rate)) / rate
    rows = [
        np.sin(2 * np.pi * (150 + 170 * k) * (1 + 0.1 * t) * t) * (0.6 + 0.3 * np.sin(5 * t + k))
        for k in range(channels)
    ]
    return (np.array(rows) * 0.5).astype(np.float32)


def wav(
    samples: npt.NDArray[np.generic],
    rate: int = 16_000,
    *,
    tag: int | None = None,
    channels: int | None = None,
    claimed_bytes: int | None = None,
) -> bytes:
    """A RIFF file of (channels, n) samples, bytes as they are; header fields may be made to lie."""
    data = np.ascontiguousarray(samples.T).tobytes()
    tag = tag if tag is not None else (3 if samples.dtype.kind == "f" else 1)
    count = len(samples) if channels is None else channels
    width = samples.dtype.itemsize
    size = len(data) if claimed_bytes is None else claimed_bytes
    align = min(count * width, 65_535)
    fmt = struct.pack("<HHIIHH", tag, count, rate, (rate * align) & 0xFFFFFFFF, align, width * 8)
    riff = struct.pack("<4sI4s", b"RIFF", min(size + 36, 0xFFFFFFFF), b"WAVE")
    return riff + b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + data


def wav16(samples: Floats, rate: int = 16_000) -> bytes:
    """The same as 16-bit PCM."""
    return wav(to_int16(samples), rate)


def to_int16(samples: Floats) -> npt.NDArray[np.int16]:
    return np.round(samples * 32767).astype(np.int16)


def encoded(
    samples: Floats,
    rate: int,
    container: str,
    codec: str,
    *,
    layout: str | None = None,
    format: str | None = None,
    options: dict[str, str] | None = None,
    path: Path | None = None,
) -> bytes:
    """(channels, n) through one of PyAV's encoders. options: of the container. path: a file to make it in, for a
    container that opens what it wrote once more."""
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    file = io.BytesIO()
    with av.open(path or file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        if format is not None:
            stream.codec_context.format = format
        if codec.startswith("wma"):
            stream.bit_rate = 64_000
        if codec in ("vorbis", "opus"):
            stream.codec_context.options = {"strict": "-2"}
        for start in range(0, samples.shape[1], 1000):
            part = np.ascontiguousarray(samples[:, start : start + 1000].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes() if path else file.getvalue()


def video(samples: Floats, rate: int, container: str, codec: str) -> bytes:
    """A film: a video track first, then the audio."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        pictures = out.add_stream("mpeg4" if container == "mp4" else "mjpeg", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p" if container == "mp4" else "yuvj420p"
        sound = out.add_stream(codec, rate=rate, layout="mono")
        for index in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 20, np.uint8), format="rgb24")
            out.mux(pictures.encode(picture.reformat(format=pictures.pix_fmt)))
        out.mux(pictures.encode(None))
        for start in range(0, samples.shape[1], 1000):
            part = np.ascontiguousarray(samples[:1, start : start + 1000])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def pictures_only() -> bytes:
    """A film without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    return file.getvalue()


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time and cannot be sought, as from a pipe."""

    def __init__(self, data: bytes, most: int = 5000) -> None:
        self._file = io.BytesIO(data)
        self._most = most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._most) if size >= 0 else self._most)


def opus_packets(samples: Floats) -> list[bytes]:
    """Opus packets of 20 ms of (channels, n) samples at 48 kHz, as WebRTC sends them."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format = 48_000, "flt"
    encoder.layout = layout = "mono" if len(samples) == 1 else "stereo"
    packets = []
    for start in range(0, samples.shape[1] - 959, 960):
        data = np.ascontiguousarray(samples[:, start : start + 960].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="flt", layout=layout)
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def retimed(
    samples: Floats,
    rate: int,
    container: str,
    codec: str,
    moved: Callable[[float], float | None],
    *,
    picture_s: float = 0.0,
    tracks: Sequence[str] = ("und",),
) -> bytes:
    """(channels, n) encoded, with its packets at other times. moved: a packet's time in seconds, by what it was; None
    leaves the packet out. picture_s: seconds of pictures from 0 on. tracks: languages of audio tracks; each has one
    channel of its own where there are as many channels as tracks."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        pictures: Any = None
        if picture_s:
            pictures = out.add_stream("mpeg4", rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        split = len(tracks) > 1
        sounds = []
        for language in tracks:
            sound: Any = out.add_stream(codec, rate=rate, layout="mono" if split else _LAYOUTS[len(samples)])
            sound.metadata["language"] = language
            sounds.append(sound)
        for _ in range(round(picture_s * 10)):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            out.mux(pictures.encode(picture.reformat(format="yuv420p")))
        if pictures is not None:
            out.mux(pictures.encode(None))
        for number, sound in enumerate(sounds):
            for packet in _packets(sound, samples[number : number + 1] if split else samples, rate):
                time_s = moved(float(packet.pts * packet.time_base))
                if time_s is not None:
                    packet.pts = packet.dts = round(time_s / packet.time_base)
                    out.mux(packet)
    return file.getvalue()


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def _packets(sound: Any, samples: Floats, rate: int) -> Iterator[Any]:
    layout = _LAYOUTS[len(samples)]
    for start in range(0, samples.shape[1], 1000):
        part = np.ascontiguousarray(samples[:, start : start + 1000].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from sound.encode(frame)
    yield from sound.encode(None)
