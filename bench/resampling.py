"""Resampling to 16 kHz beside the decoding before it, beside FFmpeg's resampler, and beside torchaudio's where it is.

    python bench/resampling.py [--seconds 60] [--repeats 9]

Processor time of one thread, so that what else runs on the machine shows little; all of a row take turns. Target:
decoding and resampling of a compressed file together at most a tenth slower than with FFmpeg's resampler.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from common import RATE, save, speech
from overtone.audio import Resampler
from overtone.audio.file_source import FileSource
from overtone.audio.reblock import reblocked

Floats = npt.NDArray[np.float32]

FILES = (
    (8_000, "wav", "pcm_mulaw"),
    (22_050, "wav", "pcm_s16le"),
    (44_100, "wav", "pcm_s16le"),
    (44_100, "flac", "flac"),
    (44_100, "mp3", "libmp3lame"),
    (48_000, "mp4", "aac"),
    (48_000, "ogg", "libopus"),
    (96_000, "flac", "flac"),
    (44_099, "wav", "pcm_s16le"),
    (192_001, "wav", "pcm_s16le"),
    (767_999, "wav", "pcm_s16le"),
)
"""Rate, container and codec. The last three share no divisor with 16,000."""

WAYS = ("decoding", "resampling", "ffmpeg", "torchaudio")

SHORT_RATE = 400_000
"""Hz from which on files are a tenth as long."""


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    table: list[tuple[str, ...]] = [("file", "decoding", "resampling", "FFmpeg's", "torchaudio's", "both, to FFmpeg's")]
    for rate, container, codec in FILES:
        seconds = given.seconds / (10 if rate > SHORT_RATE else 1)
        data = encoded(seconds, rate, container, codec)
        pieces = [*reblocked((chunk for _, chunk in FileSource(data, "file").chunks()), rate // 4)]
        ways: dict[str, Callable[[], object]] = {
            "decoding": lambda data=data: [*FileSource(data, "file").chunks()],  # type: ignore[misc]
            "resampling": lambda pieces=pieces, rate=rate: by_overtone(pieces, rate),  # type: ignore[misc]
            "ffmpeg": lambda pieces=pieces, rate=rate: by_ffmpeg(pieces, rate),  # type: ignore[misc]
        }
        if rate % 50 == 0 and importlib.util.find_spec("torchaudio"):  # of other rates its weights take gigabytes
            ways["torchaudio"] = by_torchaudio(np.concatenate(pieces, axis=1), rate)
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(given.repeats):
            for way, run in ways.items():
                began = time.process_time()
                run()
                took[way].append((time.process_time() - began) / seconds)
        name = f"{codec}, {rate:,} Hz"
        figures[name] = took
        median = {way: statistics.median(times) for way, times in took.items()}
        ratio = (median["decoding"] + median["resampling"]) / (median["decoding"] + median["ffmpeg"])
        shown = (f"{1000 * median[way]:.2f} ms" if way in median else "–" for way in WAYS)
        table.append((name, *shown, f"{ratio:.2f}"))
    save("resampling", figures, table)


def encoded(seconds: float, rate: int, container: str, codec: str) -> bytes:
    """The example call in one channel at a rate, over and over."""
    times = np.arange(round(seconds * rate)) * (RATE / rate)
    samples = np.interp(times % len(speech()), np.arange(len(speech())), speech()).astype(np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, len(samples), 4096):
            out.mux(stream.encode(frame_of(samples[None, start : start + 4096], rate)))
        out.mux(stream.encode(None))
    return file.getvalue()


def frame_of(array: Floats, rate: int) -> av.AudioFrame:
    """Samples (1, n) as a frame."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(array), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def by_overtone(pieces: list[Floats], rate: int) -> None:
    """Resample pieces of a file."""
    resampler = Resampler(1, rate, "file")
    for piece in pieces:
        resampler.push(piece)
    resampler.flush()


def by_ffmpeg(pieces: list[Floats], rate: int) -> None:
    """Resample pieces of a file with libswresample."""
    graph: Any = av.filter.Graph()
    graph.threads = 1
    source = graph.add("abuffer", sample_rate=str(rate), sample_fmt="flt", channel_layout="mono")
    target = graph.add("aformat", sample_rates=str(RATE), sample_fmts="flt", channel_layouts="mono")
    graph.link_nodes(source, target, graph.add("abuffersink")).configure()
    for piece in pieces:
        graph.push(frame_of(piece, rate))
        pull(graph)
    graph.push(None)
    pull(graph)


def pull(graph: Any) -> None:
    """Take all frames that are ready."""
    try:
        while True:
            graph.pull().to_ndarray()
    except (av.error.BlockingIOError, av.error.EOFError):
        return


def by_torchaudio(samples: Floats, rate: int) -> Callable[[], object]:
    """Resample all samples at once with torchaudio, in one thread."""
    import torch

    torchaudio = importlib.import_module("torchaudio")
    torch.set_num_threads(1)
    resample, waveform = torchaudio.transforms.Resample(rate, RATE), torch.from_numpy(samples)
    return lambda: resample(waveform)


if __name__ == "__main__":
    main()
