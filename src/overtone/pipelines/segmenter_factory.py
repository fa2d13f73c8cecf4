"""Segmenters as the options of a call ask for them."""

from __future__ import annotations

from functools import partial

from overtone.batching.memory_plan import whole_file_bytes
from overtone.batching.policy import longest_segment
from overtone.engine.runtime import Runtime
from overtone.options.emotion import Options
from overtone.segmentation.segmenters import FixedWindowSegmenter, PauseSegmenter, Segmenter, WholeFileSegmenter
from overtone.segmentation.silero_vad import SileroVad
from overtone.types import SAMPLE_RATE


class SegmenterFactory:
    """Makes segmenters as options ask for them, with one Silero VAD for all."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._vad = SileroVad()

    def make(self, options: Options, channels: int) -> Segmenter:
        """A segmenter for one channel of a source that has `channels` of them."""
        if options.whole:
            return WholeFileSegmenter(partial(self._admit, channels), keep_silence=options.keep_silence)
        if options.segment == "window":
            window, hop = (round(s * SAMPLE_RATE) for s in (options.window, options.hop or options.window))
            return FixedWindowSegmenter(window, hop, keep_silence=options.keep_silence)
        max_samples = longest_segment(options.longest_s, options.batch_size_s)
        return PauseSegmenter(max_samples, self._vad, keep_silence=options.keep_silence)

    def _admit(self, channels: int, samples: int) -> None:
        """BudgetError if a file that is to run whole is longer than the budget can hold."""
        engines = (self._runtime.engine, *(model.engine for model in self._runtime.auxiliary.values()))
        if any(whole_file_bytes(engine.plan, samples, channels) > engine.plan.audio_bytes for engine in engines):
            # What it holds was not planned for beside a batch: those of the files before it end first.
            for engine in engines:
                engine.wait_until_idle()
