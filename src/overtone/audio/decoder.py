"""`Decoder`: one source decoded from opening to its last block, with its metadata and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np

from overtone.audio.array_source import ArraySource
from overtone.audio.open import Readable, name_of
from overtone.audio.reblock import reblocked
from overtone.audio.resampler import resampled
from overtone.audio.source import OnCancel, Source
from overtone.audio.tracks import AudioTrack
from overtone.errors import Code, InputError, UsageError
from overtone.types import SAMPLE_RATE, Audio, Samples

BLOCK_SAMPLES = SAMPLE_RATE
"""Most samples in one block: 1 s. 64 kB a channel, long enough that the cost per block does not show."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Metadata in a source's header. `claimed_s` in seconds, None where it does not say; `rate` in Hz.

    `tracks`: all audio tracks that there are; the other fields are of the one that is decoded.
    """

    name: str
    claimed_s: float | None
    channels: int
    rate: int
    codec: str
    container: str
    tracks: tuple[AudioTrack, ...] = ()


def probe(
    source: Readable, name: str | None = None, pool: SourceOpener | None = None, *, audio_track: int | None = None
) -> Probe:
    """Read the header of `source`, without decoding it. A stream that cannot seek is used up by it.

    Raises `InputError` as `Decoder` does.
    """
    with Decoder(source, name, pool, audio_track=audio_track, header_only=True) as decoder:
        return Probe(
            decoder.name,
            decoder.claimed_s,
            decoder.channels,
            decoder.rate,
            decoder.codec,
            decoder.container,
            decoder.tracks,
        )


class SourceOpener(Protocol):
    """Opens files in another place than this process: a `DecoderPool`."""

    def open(
        self,
        source: object,
        name: str,
        on_cancel: OnCancel | None = None,
        audio_track: int | None = None,
        *,
        header_only: bool = False,
    ) -> Source:
        """Open a file as a source; raises as `FileSource` does. header_only: its samples will not be asked for."""


class Decoder:
    """One source, decoded once, from its start to its end. A context manager.

    `name`, `channels`, `rate` (Hz, of the source), `codec`, `container`, `claimed_s` (by the header,
    or None) and `tracks` are known after opening; `decoded_s`, `silence_s` and `warnings` are final after the last
    block. Times are a player's: 0 is where the container starts, and holes are silence (`PresentationTimeline`).
    `audio_track` is the number of the track among the audio tracks, from 0; None takes FFmpeg's best.
    `pool` decodes in other processes, all but arrays: InputError decoder_died, decoder_time and decoder_memory are of
    those. `on_cancel` registers what ends that process. Without a pool it is done here, for files that are trusted.
    `header_only` is for a source of which no samples are wanted, so that the process goes on to the next.

    Opening and iterating raise `InputError` (not_found, unreadable, empty, bad_header, not_audio, no_audio,
    bad_samples, bad_rate, too_many_channels) and no other error that the input could cause. Audio decoded before
    damage is kept, with a warning. Reading twice or after `close` is a `UsageError`.
    """

    def __init__(
        self,
        source: Readable,
        name: str | None = None,
        pool: SourceOpener | None = None,
        on_cancel: OnCancel | None = None,
        *,
        audio_track: int | None = None,
        header_only: bool = False,
    ) -> None:
        self.name = name_of(source, name)
        self._source: Source
        if isinstance(source, Audio):
            self._source = ArraySource(source, self.name, audio_track)
        elif pool is not None:
            self._source = pool.open(source, self.name, on_cancel, audio_track, header_only=header_only)
        else:
            from overtone.audio.file_source import FileSource  # FFmpeg, which a process with a pool does without

            self._source = FileSource(source, self.name, audio_track)
        self.channels = self._source.channels
        self.rate = self._source.rate
        self.codec = self._source.codec
        self.container = self._source.container
        self.claimed_s = self._source.claimed_s
        self.tracks = self._source.tracks
        self._samples = 0
        self._taken = header_only

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the source. A file object that was handed in stays open."""
        self._source.close()

    @property
    def decoded_s(self) -> float:
        """Seconds of audio yielded so far, silence for holes included."""
        return self._samples / SAMPLE_RATE

    @property
    def silence_s(self) -> float:
        """Seconds of silence that holes in the source were filled with; with a pool only known at the end."""
        return self._source.silence_s

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about damage in the source that did not stop it."""
        return tuple(self._source.warnings)

    def blocks(self, channel: int | None = None) -> Iterator[Samples]:
        """Yield mono blocks, float32, shape (n,), at 16 kHz, n <= `BLOCK_SAMPLES`.

        `channel` None is the mean of all channels, as FunASR and librosa take it (FFmpeg's downmix has a gain
        that depends on the layout); k is that channel alone, counted from 0.
        """
        for block in self.channel_blocks():
            channels = len(block)
            if channel is None:
                # In float64: the sum of a few large samples may not fit float32 where their mean does.
                yield block[0] if channels == 1 else block.mean(axis=0, dtype=np.float64).astype(np.float32)
            elif 0 <= channel < channels:
                yield np.ascontiguousarray(block[channel])
            else:
                text = f"{self.name}: there is no channel {channel}; it has {channels}, counted from 0"
                raise InputError(text, code=Code.NO_AUDIO)

    def channel_blocks(self) -> Iterator[Samples]:
        """Yield blocks of all channels, float32, shape (channels, n), at 16 kHz, n <= `BLOCK_SAMPLES`."""
        if self._taken:
            raise UsageError(f"{self.name}: a Decoder is read once; open a new one")
        self._taken = True
        for block in reblocked(resampled(self._source.chunks(), self.name), BLOCK_SAMPLES):
            self._samples += block.shape[1]
            yield block
        if not self._samples:
            text = f"{self.name}: no audio (or less than 2 ms) could be decoded; the file may be cut short"
            raise InputError(text, code=Code.NO_AUDIO)
        self._compare_with_claim()

    def _compare_with_claim(self) -> None:
        claimed_s, decoded_s = self.claimed_s, self.decoded_s
        if claimed_s is None or not self._source.exact:
            return
        if claimed_s - decoded_s > max(0.1, 0.01 * claimed_s):
            self._source.warnings.append(f"the header says {claimed_s:.1f} s; the file holds {decoded_s:.1f} s")
