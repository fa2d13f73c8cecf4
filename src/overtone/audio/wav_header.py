"""Facts in a WAV header (RIFF and RF64) that FFmpeg does not report: its claimed length, and formats ruled out."""

from __future__ import annotations

import struct

_ELSEWHERE = 0xFFFFFFFF  # a size that RF64 keeps in its `ds64` chunk

_UNCOMPRESSED = frozenset((1, 3, 6, 7, 0xFFFE))  # PCM, float, A-law, µ-law, extensible

_SLOWEST_DISGUISE = 32_000
"""Hz. Compressed surround sound that is kept as if it were 16-bit stereo (IEC 61937) has a rate from here on."""


def is_plain_pcm16(head: bytes) -> bool:
    """True if the first bytes are those of a WAV of 16-bit samples too slow or too few to be anything else."""
    at = head.find(b"fmt ", 12, 4096)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or at < 0 or len(head) < at + 24:
        return False
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
    return bool(tag == 1 and bits == 16 and (channels == 1 or rate < _SLOWEST_DISGUISE))


def claimed_seconds(head: bytes, otherwise: float | None) -> float | None:
    """Seconds by the sizes in the first bytes of a WAV file, or `otherwise` where they do not say.

    A writer into a pipe cannot know the size; it leaves 0, 0xFFFFFFFF (ffmpeg) or about 0x7FFFF000 (sox).
    """
    data_bytes, frame_bytes, rate, at = None, 0, 0, 12
    long_bytes: int | None = None
    while at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        body = head[at + 8 : at + 8 + min(size, 28)]
        if kind == b"data":
            data_bytes = long_bytes if size == _ELSEWHERE and long_bytes is not None else size
            break
        if kind == b"fmt " and len(body) >= 16:
            tag, _, rate, _, frame_bytes = struct.unpack_from("<HHIIH", body)
            if tag not in _UNCOMPRESSED:  # a frame is not a sample
                return otherwise
        elif kind == b"ds64" and len(body) >= 16:
            long_bytes = struct.unpack_from("<Q", body, 8)[0]
        at += 8 + size + size % 2
    if head[:4] not in (b"RIFF", b"RF64") or not data_bytes or not rate or not frame_bytes:
        return otherwise
    placeholder = data_bytes >= 0xFFFFFF00 or 0x7FFFF000 - 64 <= data_bytes <= 0x80000000
    return otherwise if placeholder and long_bytes is None else data_bytes / (rate * frame_bytes)
