"""Decoding: whatever can be read → blocks of 16 kHz float32, streamed.

    file, bytes, pipe ─DecoderPool→ in another process:
        ByteReader→ FFmpeg ─FileSource→ chunks ─resampled→ 16 kHz ─reblocked→ 1 s blocks ─Channel→ RemoteSource ─↘
    Audio ─ArraySource→ chunks ─resampled→ 16 kHz ─reblocked→ 1 s blocks ──────────────────────────────────→ Decoder

Memory is a few blocks whatever the length and whatever a header claims. FFmpeg reads only through an open
Python file, knows only formats that hold audio themselves (no playlists) and runs one thread per source. Without a
pool all of it happens in this process.
"""

from overtone.audio.corruption import MAX_FAILURES
from overtone.audio.decoder import BLOCK_SAMPLES, Decoder, Probe, probe
from overtone.audio.decoder_pool import DecoderPool
from overtone.audio.open import Readable, name_of
from overtone.audio.resampler import Resampler
from overtone.audio.source import MAX_CHANNELS, MAX_RATE

__all__ = [
    "BLOCK_SAMPLES",
    "MAX_CHANNELS",
    "MAX_FAILURES",
    "MAX_RATE",
    "Decoder",
    "DecoderPool",
    "Probe",
    "Readable",
    "Resampler",
    "name_of",
    "probe",
]
