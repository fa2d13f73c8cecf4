"""`SampleConverter`: frames of one sample format as another, by FFmpeg, in the thread that calls it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.filter import Graph


class SampleConverter:
    """Frames of one sample format in, of another out; rate and channels stay as they are.

    PyAV's `AudioResampler` does the same, but starts a thread per core for every source.
    """

    def __init__(self, layout: str, rate: int, sample_format: str, new_format: str) -> None:
        self._graph = graph = Graph()
        graph.threads = 1
        source = graph.add("abuffer", sample_rate=str(rate), sample_fmt=sample_format, channel_layout=layout)
        target = graph.add("aformat", sample_rates=str(rate), sample_fmts=new_format, channel_layouts=layout)
        graph.link_nodes(source, target, graph.add("abuffersink")).configure()

    def push(self, frame: AudioFrame | None) -> list[AudioFrame]:
        """Take a frame, or None for the end; return the frames that are ready."""
        self._graph.push(frame)
        frames: list[Any] = []
        with suppress(av.error.BlockingIOError, av.error.EOFError):  # "feed me", "that was all"
            while True:
                frames.append(self._graph.pull())
        return frames
