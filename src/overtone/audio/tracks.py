"""`AudioTrack`: the audio tracks of a container, and the one of them that is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from overtone.errors import Code, InputError, printable
from overtone.wording import param

_MAX_LISTED = 32
"""Tracks that an error names."""


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """Metadata of one audio track in a container's header.

    - `number`: counted from 0 among the audio tracks.
    - `rate`: in Hz; 0 where the header does not say, as `channels`.
    - `language`: as the container names it, most often by ISO 639; None where it does not say.
    - `start_s`: seconds from the container's start; None where the header does not say.
    - `is_default`: whether it is the track that is decoded unless another one is asked for.
    """

    number: int
    codec: str
    rate: int
    channels: int
    language: str | None = None
    start_s: float | None = None
    is_default: bool = False

    @property
    def summary(self) -> str:
        """Number, language and codec, as in a list of tracks."""
        about = [self.language] if self.language else []
        return f"{self.number} ({', '.join([*about, self.codec, f'{self.rate} Hz', f'{self.channels} ch'])})"


def start_s(container: Any, stream: Any) -> float | None:
    """Seconds from a PyAV container's start to a track's; None where the header does not say."""
    if container.start_time is None or stream.start_time is None or not stream.time_base:
        return None
    # FFmpeg rounds the container's start to a microsecond.
    return round(float(stream.start_time * stream.time_base) - origin_s(container), 5) + 0.0  # no -0.0


def origin_s(container: Any) -> float:
    """Timestamp, in seconds, of a PyAV container's start: of its earliest track."""
    return (container.start_time or 0) / 1e6


def audio_tracks(container: Any) -> tuple[AudioTrack, ...]:
    """The audio tracks of a PyAV container, in their order."""
    best = container.streams.best("audio")
    return tuple(_track(container, number, stream, best) for number, stream in enumerate(container.streams.audio))


def _track(container: Any, number: int, stream: Any, best: Any) -> AudioTrack:
    context = stream.codec_context
    language = stream.language
    return AudioTrack(
        number,
        "unknown" if context is None else context.name,
        0 if context is None else int(context.sample_rate or 0),
        0 if context is None else int(context.layout.nb_channels),
        printable(language) if language and language != "und" else None,
        start_s(container, stream),
        best is not None and stream.index == best.index,
    )


def chosen_stream(container: Any, number: int | None, name: str) -> Any:
    """The audio track of a PyAV container with that number, FFmpeg's best one for None. InputError: no_audio."""
    streams = container.streams.audio
    best = container.streams.best("audio")
    if not streams or (number is None and best is None):
        raise InputError(f"{name}: there is no audio track in it", code=Code.NO_AUDIO)
    if number is None:
        return best
    if not 0 <= number < len(streams):
        there = ", ".join(track.summary for track in audio_tracks(container)[:_MAX_LISTED])
        text = f"{name}: there is no audio track {number}; {param('audio_track')} can be one of: {there}"
        raise InputError(text, code=Code.NO_AUDIO)
    return streams[number]
