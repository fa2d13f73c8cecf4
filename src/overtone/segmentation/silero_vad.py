"""Speech probability of every 32 ms: the Silero VAD's sequence model, as its own package ships it, run by OpenVINO.

The model carries state from block to block, so a stream of any length is read once, a block at a time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from overtone.backends.openvino.compiled_model import CompiledModel
from overtone.system.assets import asset
from overtone.types import Samples

FRAME = 512
"""Samples (32 ms) per probability, fixed by the model."""

_CONTEXT = 64
"""Samples of the frame before that the model sees in front of each frame."""

_BLOCK_FRAMES = 512
"""Frames (16.4 s) per run. Always the same, so that one shape is compiled and results do not depend on how audio
arrives."""

_STATE = (1, 1, 128)

_MODEL_BYTES, _RUNTIME_BYTES = 48 << 20, 48 << 20
"""Bytes that running this model adds to a process, and loading OpenVINO (seen: 35 and some 50 MiB, Linux x86-64)."""


class SileroVad:
    """The compiled model, shared by any number of streams and threads; loaded at first use."""

    def __init__(self) -> None:
        self._compiled: CompiledModel | None = None
        self._loading = threading.Lock()

    def stream(self) -> VadStream:
        """A new stream with fresh state."""
        with self._loading:
            if self._compiled is None:
                path = asset("silero", "silero_vad_16k_sequence.onnx")
                compiled = CompiledModel(path, threads=1, shape=(_BLOCK_FRAMES, _CONTEXT + FRAME))
                silence = np.zeros((_BLOCK_FRAMES, _CONTEXT + FRAME), np.float32)
                state = np.zeros(_STATE, np.float32)
                compiled.warm_up({"input": silence, "h": state, "c": state})
                self._compiled = compiled
        return VadStream(self._compiled)


class VadStream:
    """Probabilities of one stream of audio. Not thread-safe."""

    def __init__(self, compiled: CompiledModel) -> None:
        self._infer = compiled.request()
        self._hidden = np.zeros(_STATE, np.float32)
        self._cell = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Add samples; get the probabilities of the frames that are now complete, float32 (frames,)."""
        self._pending = np.concatenate([self._pending, samples])
        block = _BLOCK_FRAMES * FRAME
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
        padded = np.zeros(_BLOCK_FRAMES * FRAME, np.float32)
        padded[: len(left)] = left
        return self._run(padded)[: -(-len(left) // FRAME)]

    def _run(self, block: Samples) -> npt.NDArray[np.float32]:
        frames = block.reshape(_BLOCK_FRAMES, FRAME)
        contexts = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        found = self._infer({"input": np.concatenate([contexts, frames], axis=1), "h": self._hidden, "c": self._cell})
        self._hidden, self._cell = found["hn"].copy(), found["cn"].copy()
        probabilities: npt.NDArray[np.float32] = found["speech_probs"].reshape(-1).copy()
        return probabilities


def resident_bytes() -> int:
    """Bytes that the VAD will add to this process, of which OpenVINO may be a part already."""
    return _MODEL_BYTES + (0 if "openvino" in sys.modules else _RUNTIME_BYTES)


def frame_levels(samples: Samples) -> Iterator[float]:
    """Mean square of each frame of `FRAME` samples; the last may be shorter."""
    whole = len(samples) // FRAME * FRAME
    yield from np.square(samples[:whole].reshape(-1, FRAME)).mean(axis=1).tolist()
    if whole < len(samples):
        yield float(np.square(samples[whole:]).mean())
