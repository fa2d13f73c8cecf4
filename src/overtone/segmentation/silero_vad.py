"""Speech probability of every 32 ms: the Silero VAD's sequence model, as its own package ships it, run by OpenVINO.

The model carries state from block to block, so a stream of any length is read once, a block at a time.
"""

from __future__ import annotations

import sys
import threading

import numpy as np
import numpy.typing as npt

from overtone.backends.openvino.compiled_model import CompiledModel
from overtone.segmentation.voiced_frames import FRAME
from overtone.system.assets import asset
from overtone.types import Samples

_CONTEXT = 64
"""Samples of the frame before that the model sees in front of each frame."""

_BLOCK_FRAMES = 64
"""Frames (2 s) per run. Always the same, so that one shape is compiled and results do not depend on how audio arrives.
More cost as much for each (0.02 ms); a short clip pays for a whole block."""

_LIVE_FRAMES = 1
"""Frames per run of live speech, which cannot wait for a block; each costs five times as much, 0.3 % of real time."""

_STATE = (1, 1, 128)

_MODEL_BYTES, _RUNTIME_BYTES = 48 << 20, 48 << 20
"""Bytes that running this model adds to a process, and loading OpenVINO (seen: 35 and some 50 MiB, Linux x86-64)."""


class SileroVad:
    """The compiled model, shared by any number of streams and threads; loaded at first use."""

    def __init__(self) -> None:
        self._compiled: dict[int, CompiledModel] = {}  # by frames per run
        self._loading = threading.Lock()

    def stream(self, *, live: bool = False) -> VadStream:
        """A new stream with fresh state. live: every frame is judged as soon as it is there."""
        frames = _LIVE_FRAMES if live else _BLOCK_FRAMES
        with self._loading:
            if frames not in self._compiled:
                path = asset("silero", "silero_vad_16k_sequence.onnx")
                compiled = CompiledModel(path, threads=1, shape=(frames, _CONTEXT + FRAME))
                silence = np.zeros((frames, _CONTEXT + FRAME), np.float32)
                state = np.zeros(_STATE, np.float32)
                compiled.warm_up({"input": silence, "h": state, "c": state})
                self._compiled[frames] = compiled
        return VadStream(self._compiled[frames], frames)


class VadStream:
    """Probabilities of one stream of audio. Not thread-safe."""

    def __init__(self, compiled: CompiledModel, frames: int) -> None:
        # frames: of each run.
        self._infer = compiled.request()
        self._frames = frames
        self._hidden = np.zeros(_STATE, np.float32)
        self._cell = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Add samples; get the probabilities of the frames that are now complete, float32 (frames,)."""
        self._pending = np.concatenate([self._pending, samples])
        block = self._frames * FRAME
        parts = []
        while len(self._pending) >= block:
            parts.append(self._run(self._pending[:block]))
            self._pending = self._pending[block:]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def finish(self) -> npt.NDArray[np.float32]:
        """Probabilities of the frames that remain; the last one may be part frame, filled up with zeros."""
        left, self._pending = self._pending, np.zeros(0, np.float32)
        if not len(left):
            return left
        padded = np.zeros(self._frames * FRAME, np.float32)
        padded[: len(left)] = left
        return self._run(padded)[: -(-len(left) // FRAME)]

    def _run(self, block: Samples) -> npt.NDArray[np.float32]:
        frames = block.reshape(self._frames, FRAME)
        contexts = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        found = self._infer({"input": np.concatenate([contexts, frames], axis=1), "h": self._hidden, "c": self._cell})
        self._hidden, self._cell = found["hn"].copy(), found["cn"].copy()
        probabilities: npt.NDArray[np.float32] = found["speech_probs"].reshape(-1).copy()
        return probabilities


def resident_bytes() -> int:
    """Bytes that the VAD will add to this process, of which OpenVINO may be a part already."""
    return _MODEL_BYTES + (0 if "openvino" in sys.modules else _RUNTIME_BYTES)
