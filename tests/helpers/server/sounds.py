"""Files that tests send: speech that no other test sends, and files that turn into more than they look like."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np

from helpers.audio_files import wav16
from helpers.clips import EXAMPLES, decoded, voice
from overtone.types import SAMPLE_RATE


def clip(seed: int, seconds: float = 1.0, peak: float | None = None) -> bytes:
    """A short WAV of something like a voice; with a `peak`, one sample of it is so loud."""
    samples = voice(seconds, seed)
    if peak is not None:
        samples[len(samples) // 2] = peak
    return wav16(samples[None])


def speech(seconds: float) -> bytes:
    """A long WAV of real speech, of which nothing is heard twice at the same loudness."""
    call = decoded(EXAMPLES / "call.mp3")
    count = -(-round(seconds * SAMPLE_RATE) // len(call))
    whole = np.concatenate([call * loud for loud in np.linspace(0.9, 0.4, count, dtype=np.float32)])
    return wav16(whole[None, : round(seconds * SAMPLE_RATE)])


def silence(seconds: float, container: str, codec: str, rate: int = 16_000) -> bytes:
    """Nothing at all, compressed."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if codec == "opus":
            stream.codec_context.options = {"strict": "-2"}
        for start in range(0, round(seconds * rate), 1 << 16):
            count = min(1 << 16, round(seconds * rate) - start)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, count), np.float32), format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def unclaimed(flac: bytes) -> bytes:
    """A FLAC that does not say how long it is."""
    at = 4 + 4 + 13  # the mark, the head of the first block, and what STREAMINFO has before the count of samples
    return flac[:at] + bytes([flac[at] & 0xF0]) + bytes(4) + flac[at + 5 :]


def channels_of_au(count: int) -> bytes:
    """An AU of so many channels, by its header."""
    return struct.pack(">4sIIIII", b".snd", 24, 0xFFFFFFFF, 3, 16_000, count) + bytes(4000)


def nested_mp4(depth: int) -> bytes:
    """Boxes in boxes, each saying that it holds all that follows."""
    kinds = (b"moov", b"trak", b"mdia", b"minf")
    boxes = (struct.pack(">I4s", 8 * (depth - level), kinds[min(level, 3)]) for level in range(depth))
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + b"".join(boxes)
