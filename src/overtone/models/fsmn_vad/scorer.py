"""The probability of silence and the level of every 10 ms of a stream, from an FSMN-VAD in whatever runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FRAME, HOP, FbankStream, Frontend, FrontendConfig, frames_of
from overtone.models.fsmn_vad.config import FsmnConfig
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.task import RunGraph
from overtone.types import Samples

BLOCK_FRAMES = 100
"""Frames (1 s) of one run of the network, by default. What it computes stays in a core's own cache."""

_GRAPH = "scores"
_CONTEXT = 2
"""Frames on either side that a feature vector is stacked from."""
_PART = 80
"""Samples that both a frame and the hop are multiples of."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Consecutive frames, 10 ms from one to the next. `silence`: probability that there is no speech. `decibels`: ten
    times the decimal logarithm of the sum of the squares of its 400 samples. Both float32 (frames,)."""

    silence: npt.NDArray[np.float32]
    decibels: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.silence)


class FsmnVad:
    """The texts of a checkpoint, shared by any number of streams.

    overrides: see `VadOptions.from_config`. Raises CheckpointError where the folder is broken or describes something
    else, and UsageError for overrides that are not known.
    """

    def __init__(self, checkpoint: Checkpoint, **overrides: Any) -> None:
        name, config = checkpoint.name, checkpoint.config
        self.config = FsmnConfig.from_config(config, name)
        self.options = VadOptions.from_config(config.get("model_conf"), name, **overrides)
        frontend = FrontendConfig.from_config(config.get("frontend_conf"), name)
        if (frontend.stack, frontend.stride) != (2 * _CONTEXT + 1, 1):
            raise CheckpointError(
                f"{name}: frontend_conf has lfr_m {frontend.stack} and lfr_n {frontend.stride}; only 5 and 1 are known."
            )
        if frontend.dim != self.config.input_dim:
            raise CheckpointError(
                f"{name}: encoder_conf.input_dim is {self.config.input_dim}, but features have {frontend.dim} numbers."
            )
        cmvn = read_cmvn(checkpoint.text(frontend.cmvn_file or "am.mvn"), name)
        self.frontend = Frontend(frontend, cmvn, name=name)

    def stream(self, run: RunGraph, *, block_frames: int = BLOCK_FRAMES) -> FsmnStream:
        """A new stream of audio. See `FsmnStream`."""
        return FsmnStream(self, run, block_frames=block_frames)


class FsmnStream:
    """Scores of one stream of audio. Not thread-safe.

    run: runs the graph `scores`. block_frames: frames in each run, always as many, so that a runtime meets one shape
    and scores do not depend on how audio arrives; the last run is filled up.
    """

    def __init__(self, vad: FsmnVad, run: RunGraph, *, block_frames: int = BLOCK_FRAMES) -> None:
        self._run, self._block = run, block_frames
        self._frontend = vad.frontend
        config = vad.frontend.config
        self._fbank = FbankStream(mels=config.mels, window=config.window)
        self._mels = np.zeros((0, config.mels), np.float32)  # with the context before what is to be scored
        self._before = 0  # how much of that context there is
        self._memory = np.zeros(vad.config.memory, np.float32)
        self._decibels = np.zeros(0, np.float32)  # of frames not yet scored
        self._rest = np.zeros(0, np.float32)  # samples of frames whose level is not known yet
        self.samples = 0
        """Pushed so far."""

    def push(self, samples: Samples) -> Scores:
        """Add float32 samples of full scale ±1; get the scores of the blocks that are now complete."""
        self.samples += len(samples)
        self._mels = np.concatenate([self._mels, self._fbank.push(samples)])
        self._decibels = np.concatenate([self._decibels, self._levels(samples)])
        blocks = (len(self._mels) - self._before - _CONTEXT) // self._block
        if blocks < 1:
            return self._scores([])
        features = self._frontend.transform(self._mels)
        used = self._before + blocks * self._block
        scores = [self._infer(features[at : at + self._block]) for at in range(self._before, used, self._block)]
        self._before = min(_CONTEXT, used)
        self._mels = self._mels[used - self._before :].copy()
        return self._scores(scores)

    def finish(self) -> Scores:
        """Scores of the frames that remain: at least the last one, unless there are less than 25 ms in all."""
        features = self._frontend.transform(self._mels)[self._before :]
        scores = []
        for start in range(0, len(features), self._block):
            some = features[start : start + self._block]
            block = np.zeros((self._block, features.shape[1]), np.float32)
            block[: len(some)] = some
            scores.append(self._infer(block)[: len(some)])
        self._mels = self._mels[:0]
        return self._scores(scores)

    def _infer(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found = self._run(_GRAPH, {"features": features[None], "memory": self._memory})
        self._memory = found["carried"].copy()
        silence: npt.NDArray[np.float32] = found["silence"][0].copy()
        return silence

    def _scores(self, silence: list[npt.NDArray[np.float32]]) -> Scores:
        joined = np.concatenate(silence) if silence else np.zeros(0, np.float32)
        decibels, self._decibels = self._decibels[: len(joined)], self._decibels[len(joined) :]
        return Scores(joined, decibels)

    def _levels(self, samples: Samples) -> npt.NDArray[np.float32]:
        self._rest = np.concatenate([self._rest, samples])
        count = frames_of(len(self._rest))
        used, self._rest = self._rest[: (count - 1) * HOP + FRAME], self._rest[count * HOP :].copy()
        if not count:
            return np.zeros(0, np.float32)
        parts = np.square(used.reshape(-1, _PART), dtype=np.float64).sum(axis=1)
        sums = np.lib.stride_tricks.sliding_window_view(parts, FRAME // _PART)[:: HOP // _PART].sum(axis=1)
        decibels: npt.NDArray[np.float32] = (10 * np.log10(sums + 1e-6)).astype(np.float32)
        return decibels
