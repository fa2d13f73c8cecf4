"""Decoding: whatever can be read → blocks of 16 kHz float32, streamed.

    file, bytes, pipe ─DecoderPool→ in another process:
        ByteReader→ FFmpeg ─FileSource→ frames ─PresentationTimeline→ chunks ─resampled→ 16 kHz ─reblocked→ 1 s blocks
        ─Channel→ RemoteSource ─↘
    Audio ─ArraySource→ chunks ─resampled→ 16 kHz ─reblocked→ 1 s blocks ──────────────────────────────────→ Decoder

Memory is a few blocks whatever the length and whatever a header claims. FFmpeg reads only through an open
Python file, knows only formats that hold audio themselves (no playlists) and runs one thread per source. Without a
pool all of it happens in this process, and only then is FFmpeg imported here.
"""

import importlib
from typing import TYPE_CHECKING, Any

from overtone.audio.corruption import MAX_FAILURES
from overtone.audio.decoder import BLOCK_SAMPLES, Decoder, Probe, probe
from overtone.audio.decoder_pool import DecoderPool
from overtone.audio.open import AudioLike, Readable, as_readable, name_of
from overtone.audio.packet_decoder import MOST_WEBM_BYTES, PacketDecoder
from overtone.audio.resampler import Resampler
from overtone.audio.source import MAX_CHANNELS, MAX_RATE
from overtone.audio.tracks import AudioTrack

if TYPE_CHECKING:
    from overtone.audio.opus_packets import MOST_SAMPLES, OPUS_RATE, OpusPackets, OpusStream, WebmOpus

_DECODING = frozenset({"MOST_SAMPLES", "OPUS_RATE", "OpusPackets", "OpusStream", "WebmOpus"})
"""Names that come with FFmpeg."""


def __getattr__(name: str) -> Any:
    if name in _DECODING:
        return getattr(importlib.import_module("overtone.audio.opus_packets"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BLOCK_SAMPLES",
    "MAX_CHANNELS",
    "MAX_FAILURES",
    "MAX_RATE",
    "MOST_SAMPLES",
    "MOST_WEBM_BYTES",
    "OPUS_RATE",
    "AudioLike",
    "AudioTrack",
    "Decoder",
    "DecoderPool",
    "OpusPackets",
    "OpusStream",
    "PacketDecoder",
    "Probe",
    "Readable",
    "Resampler",
    "WebmOpus",
    "as_readable",
    "name_of",
    "probe",
]
