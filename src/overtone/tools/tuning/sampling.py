"""Sample of the user's own audio: the same for every trial, and no more than was asked for."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from overtone.audio import Decoder, DecoderPool
from overtone.audio.inputs import Entry, FailedInput, Input
from overtone.errors import InputError
from overtone.system.machine import standard_input
from overtone.tools.tuning.axes import SampleStats
from overtone.types import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Sample:
    """Audio for the trials.

    - `paths`: files to run.
    - `stats`: the amount of audio in them.
    - `cut`: True if there was more.
    - `failed`: inputs that could not be used.
    """

    paths: tuple[str, ...]
    stats: SampleStats
    cut: bool
    failed: int


def take_sample(entries: Iterable[Entry], max_s: float, folder: Path, on_error: Callable[[str], object]) -> Sample:
    """Take the first `max_s` seconds of the inputs in `entries`.

    Files are used where they are. Files that have to be cut, and standard input, are written into `folder`, 16-bit at
    16 kHz with their channels. `on_error` is called with each input that cannot be used.
    """
    paths: list[str] = []
    lengths: list[float] = []
    cut, failed = False, 0
    with closing(DecoderPool(1)) as pool:
        for entry in entries:
            left_s = max_s - sum(lengths)
            if left_s <= 0:
                cut = True
                break
            try:
                if isinstance(entry, FailedInput):
                    raise entry.error
                head = folder / f"{len(paths)}.wav"
                seconds, whole = _copied(entry, pool, head, left_s)
            except InputError as error:
                failed += 1
                on_error(str(error))
                continue
            cut = cut or not whole
            again = whole and entry.path is not None and Path(entry.path).is_file()
            if again:
                head.unlink()
            paths.append(str(Path(entry.path or "").absolute()) if again else str(head))
            lengths.append(seconds)
    return Sample(tuple(paths), SampleStats(sum(lengths), max(lengths, default=0.0)), cut, failed)


def _copied(source: Input, pool: DecoderPool, copy: Path, max_s: float) -> tuple[float, bool]:
    """Write the first `max_s` seconds of a source to a WAV; return its seconds, and True if that was all."""
    readable = source.path if source.path is not None else standard_input()
    max_samples, written, whole = round(max_s * SAMPLE_RATE), 0, True
    with Decoder(readable, source.source, pool) as decoder, wave.open(str(copy), "wb") as file:
        file.setnchannels(decoder.channels)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        blocks = decoder.channel_blocks()
        for block in blocks:
            taken = block[:, : max_samples - written]
            file.writeframes((taken.T.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
            written += taken.shape[1]
            if written >= max_samples:
                whole = taken.shape[1] == block.shape[1] and next(blocks, None) is None
                break
    return written / SAMPLE_RATE, whole
