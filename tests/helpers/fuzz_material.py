"""Small whole files of a real clip, in each container and codec that PyAV can write: what fuzzing damages."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import av
import numpy as np

from helpers import audio_files
from helpers.clips import CLIPS, decoded

CLIP = CLIPS / "emodb" / "wav" / "09a04Fd.wav"
_FROM_S, _SECONDS = 0.3, 0.3


@dataclass(frozen=True)
class Kind:
    """A file to make: its ending, container and codec, Hz, channels, and options of the container."""

    ending: str
    container: str
    codec: str
    rate: int = 16_000
    channels: int = 1
    options: dict[str, str] = field(default_factory=dict)
    film: bool = False


KINDS = (
    Kind("wav", "wav", "pcm_s16le"),
    Kind("wav", "wav", "pcm_f32le", channels=2),
    Kind("wav", "wav", "pcm_mulaw", 8_000),
    Kind("wav", "wav", "adpcm_ms"),
    Kind("wav", "wav", "adpcm_ima_wav"),
    Kind("wav", "wav", "pcm_s24le", options={"rf64": "always"}),
    Kind("w64", "w64", "pcm_s16le"),
    Kind("aiff", "aiff", "pcm_s16be"),
    Kind("au", "au", "pcm_s16be"),
    Kind("caf", "caf", "pcm_s16be"),
    Kind("caf", "caf", "alac"),
    Kind("flac", "flac", "flac", channels=2),
    Kind("ogg", "ogg", "vorbis", channels=2),
    Kind("ogg", "ogg", "opus", 48_000, 2),
    Kind("ogg", "ogg", "flac"),
    Kind("mp3", "mp3", "mp3"),
    Kind("mp2", "mp2", "mp2"),
    Kind("aac", "adts", "aac"),
    Kind("loas", "latm", "aac"),
    Kind("m4a", "ipod", "aac", 48_000, 2),
    Kind("m4a", "ipod", "alac"),
    Kind("mp4", "mp4", "flac", 48_000),
    Kind("mp4", "mp4", "opus", 48_000, options={"movflags": "frag_keyframe+empty_moov"}),
    Kind("mov", "mov", "pcm_s16le"),
    Kind("mov", "mov", "aac", options={"moov_size": "8000"}),
    Kind("3gp", "3gp", "libopencore_amrnb", 8_000),
    Kind("amr", "amr", "libopencore_amrnb", 8_000),
    Kind("mka", "matroska", "opus", 48_000, 2),
    Kind("mka", "matroska", "vorbis", channels=2),
    Kind("webm", "webm", "opus", 48_000),
    Kind("wma", "asf", "wmav2", 44_100),
    Kind("asf", "asf", "mp3"),
    Kind("ts", "mpegts", "aac"),
    Kind("mpg", "mpeg", "mp2"),
    Kind("ac3", "ac3", "ac3", 48_000),
    Kind("eac3", "eac3", "eac3", 48_000),
    Kind("tta", "tta", "tta"),
    Kind("wv", "wv", "wavpack"),
    Kind("voc", "voc", "pcm_u8"),
    Kind("flv", "flv", "aac"),
    Kind("rm", "rm", "ac3", 48_000),
    Kind("nut", "nut", "vorbis", channels=2),
    Kind("sox", "sox", "pcm_s32le"),
    Kind("avi", "avi", "pcm_s16le", film=True),
    Kind("mkv", "matroska", "flac", film=True),
    Kind("mp4", "mp4", "aac", film=True),
)


@functools.cache
def originals() -> tuple[tuple[str, bytes], ...]:
    """(ending, bytes) of a file of each kind, of a third of a second. A kind that PyAV cannot write here is a WAV."""
    return tuple(map(_made, KINDS))


def _made(kind: Kind) -> tuple[str, bytes]:
    samples = _clip(kind.rate, kind.channels)
    try:
        if kind.film:
            return kind.ending, audio_files.video(samples, kind.rate, kind.container, kind.codec)
        return kind.ending, audio_files.encoded(samples, kind.rate, kind.container, kind.codec, options=kind.options)
    except (ValueError, LookupError, av.FFmpegError):  # of what this release of it has not
        return "wav", audio_files.wav16(samples, kind.rate)


def _clip(rate: int, channels: int) -> np.ndarray:
    whole = decoded(CLIP)
    times = _FROM_S + np.arange(round(_SECONDS * rate)) / rate
    one = np.interp(times * 16_000, np.arange(len(whole)), whole)
    return np.array([one * 0.9**channel for channel in range(channels)], np.float32)
