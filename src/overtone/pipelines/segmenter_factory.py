"""Segmenters as the options of a call ask for them."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial

from overtone.batching.memory_plan import whole_file_bytes
from overtone.engine.runtime import Runtime
from overtone.options.emotion import NO_VAD, Options
from overtone.segmentation.segmenters import FixedWindowSegmenter, PauseSegmenter, Segmenter, WholeFileSegmenter
from overtone.segmentation.silero_vad import SileroVad, VadStream
from overtone.segmentation.speech_track import SpeechTrack
from overtone.types import SAMPLE_RATE


class SegmenterFactory:
    """Makes segmenters as options ask for them, with one Silero VAD for all."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._vad = SileroVad()

    def load_beside(self) -> None:
        """Load the VAD in another thread, while the first source is opened and decoded."""
        # Not a daemon: a process that ended while OpenVINO loads would be aborted.
        threading.Thread(target=_load, args=(self._vad,), name="overtone-vad").start()

    def make(self, options: Options, channels: int, *, cut_all: bool = False) -> Segmenter:
        """A segmenter for one channel of a source that has `channels` of them.

        cut_all: audio no longer than the longest segment is cut in its pauses too, if the options ask for a VAD.
        """
        speech, keep = self._speech(options), options.keep_silence
        if options.whole:
            return WholeFileSegmenter(partial(self._admit, channels), speech, keep_silence=keep)
        if options.segment == "window":
            window, hop = (round(s * SAMPLE_RATE) for s in (options.window, options.hop or options.window))
            return FixedWindowSegmenter(window, hop, speech, keep_silence=keep)
        cut_all = cut_all and speech is not None
        return PauseSegmenter(options.longest_samples, speech, keep_silence=keep, cut_all=cut_all)

    def live_track(self, options: Options) -> SpeechTrack | None:
        """The speech of a channel frame by frame as it comes in; None where no VAD is wanted."""
        return None if options.vad == NO_VAD else SpeechTrack(self._vad.stream(live=True))

    def _speech(self, options: Options) -> VadStream | None:
        return None if options.vad == NO_VAD else self._vad.stream()

    def _admit(self, channels: int, samples: int) -> None:
        """BudgetError if a file that is to run whole is longer than the budget can hold."""
        engines = (self._runtime.engine, *(model.engine for model in self._runtime.auxiliary.values()))
        if any(whole_file_bytes(engine.plan, samples, channels) > engine.plan.audio_bytes for engine in engines):
            # What it holds was not planned for beside a batch: those of the files before it end first.
            for engine in engines:
                engine.wait_until_idle()


def _load(vad: SileroVad) -> None:
    with suppress(Exception):  # the first source that needs it meets the same, and says so
        vad.stream()
