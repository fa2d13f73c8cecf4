"""Silence that ends a segment, by FunASR's schedule.

FunASR reads audio in chunks of `chunk_size`, by default 60 s, and before each looks up in `silence_schedule` how much
speech there was. It counts whole chunks: a chunk that begins while speech goes on counts in full, and all are
forgotten when a chunk has emitted a segment. So with 60 s a chunk asks for 2 s of silence, but one that begins amid
speech asks for 0.2 s from its beginning to its end. Segments depend on that, so it is the same here.
"""

from __future__ import annotations

from overtone.models.fsmn_vad.options import VadOptions

_THRESHOLD = 0.5
"""The value FunASR sets for `speech_noise_thres` whenever it looks its schedule up."""


class EndSilenceSchedule:
    """The end silence and speech threshold of each chunk.

    - `silence_ms`: the silence that ends a segment, from where the window says so.
    - `threshold`: as `FrameClassifier` takes it.
    """

    def __init__(self, options: VadOptions) -> None:
        self._options = options
        self.silence_ms = options.max_end_silence_time - options.speech_to_sil_time_thres
        self.threshold = options.speech_noise_thres
        self._speech_ms, self._speaking = 0, False

    def begin_chunk(self, *, speaking: bool) -> None:
        """Start a chunk, amid speech or not."""
        options = self._options
        if not options.dynamic_silence:
            return
        if speaking or self._speaking:
            self._speaking = True
            self._speech_ms += options.chunk_size
        for limit_ms, silence_ms in options.silence_schedule:
            if self._speech_ms <= limit_ms:
                self.silence_ms = max(silence_ms - options.speech_to_sil_time_thres, 0)
                self.threshold = _THRESHOLD
                return

    def segment_emitted(self) -> None:
        """Record that the chunk has emitted a segment."""
        self._speech_ms, self._speaking = 0, False
