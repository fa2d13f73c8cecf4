"""Frames as speech or not, from the network's probability and their level, by the rules of FunASR's FSMN-VAD."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import numpy.typing as npt

from overtone.models.fsmn_vad.options import VadOptions

_NO_NOISE_DB = -100.0
"""The level of noise before there was any; noise that is not above -99.9 counts as none."""


class FrameClassifier:
    """Classifier of the frames of one stream, in order. It remembers the level of the noise."""

    def __init__(self, options: VadOptions) -> None:
        self._options = options
        self._noise_db = _NO_NOISE_DB

    def __call__(
        self, silence: npt.NDArray[np.float32], decibels: npt.NDArray[np.float32], threshold: float
    ) -> list[bool]:
        """Classify frames: one is speech when `1 - silence >= silence ** speech_2_noise_ratio + threshold`, and it is
        loud enough both by itself and above the noise, which is a moving average over the frames that are not speech.

        - `silence`: probability that there is no speech, float32 (frames,).
        - `decibels`: the frame's energy, float32 (frames,).
        - `threshold`: as `EndSilenceSchedule` has it.
        """
        options = self._options
        silent = silence.astype(np.float64)
        likely = 1 - silent >= silent**options.speech_2_noise_ratio + threshold
        loud = decibels >= options.decibel_thres
        is_noise = loud & ~likely
        levels = list(accumulate(decibels[is_noise].tolist(), self._moved, initial=self._noise_db))
        self._noise_db = levels[-1]
        noise_db = np.array(levels)[np.cumsum(is_noise) - is_noise]  # before each frame
        speech = likely & loud & (decibels - noise_db >= options.snr_thres)
        if options.fe_prior_thres >= 1:  # what it is compared with is always 1
            speech[:] = False
        judged: list[bool] = speech.tolist()
        return judged

    def _moved(self, average_db: float, frame_db: float) -> float:
        if average_db < _NO_NOISE_DB + 0.1:
            return frame_db
        count = self._options.noise_frame_num_used_for_snr
        return (frame_db + average_db * (count - 1)) / count
