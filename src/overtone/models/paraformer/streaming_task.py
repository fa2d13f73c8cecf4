"""Speech that is still going on to tokens, by a `ParaformerStreaming`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from overtone.models.checkpoints import Checkpoint
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FbankStream, FrontendConfig
from overtone.models.paraformer.chunking import Chunks, check_streamable, memory_shapes
from overtone.models.paraformer.config import STREAMING, ParaformerConfig
from overtone.models.task import Array, RunGraph, check_finite
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.types import Samples, TokenOutput

Floats = npt.NDArray[np.float32]


class StreamingParaformer:
    """Texts and features of one checkpoint, shared by all its streams."""

    graphs = ("encoder_chunk", "decoder_chunk")

    def __init__(self, checkpoint: Checkpoint, chunks: Chunks | None = None) -> None:
        """chunks: as its graphs were built with. CheckpointError where its folder is broken, or not of this kind."""
        self.name = name = checkpoint.name
        conf = checkpoint.config
        self.chunks = chunks or Chunks()
        self.tokens = CharTokenizer(checkpoint)
        self.config = ParaformerConfig.from_config(conf, len(self.tokens), name, kinds=(STREAMING,))
        check_streamable(self.config, name)
        self.frontend = FrontendConfig.from_config(conf.get("frontend_conf") or {}, name)
        self.cmvn = read_cmvn(checkpoint.text(self.frontend.cmvn_file or "am.mvn"), name)
        self.shapes = memory_shapes(self.config, self.chunks, self.config.encoder_blocks)

    def stream(self, run: RunGraph) -> ParaformerStream:
        """A new stream of speech, whose graphs are run by `run`."""
        return ParaformerStream(self, run)


class ParaformerStream:
    """One stream: `push` samples as they come, and `finish` when there are no more. Used by one thread at a time.

    Both tell the tokens that are new, without times; ModelError where the model gives what are no numbers. Holds one
    chunk of samples and memories of a fixed size.
    """

    def __init__(self, model: StreamingParaformer, run: RunGraph) -> None:
        self._model, self._run = model, run
        self._step = model.chunks.size * model.frontend.hop
        self._samples = np.zeros(0, np.float32)
        self._features = _FeatureStream(model)
        self._overlap = np.zeros((model.chunks.ahead, model.frontend.dim), np.float32)
        self._cif = _CifStream(model.config.dim, model.config.predictor.tail)

        def zeros(kind: str) -> Floats:
            return np.zeros([1 if size < 0 else size for size in model.shapes[kind]], np.float32)

        self._heard: dict[str, Array] = {
            "keys": zeros("encoder"),
            "values": zeros("encoder"),
            "kept": np.zeros(1, np.int64),
        }
        self._said: dict[str, Array] = {
            "tokens": zeros("tokens"),
            "keys": zeros("decoder"),
            "values": zeros("decoder"),
            "kept": np.zeros(1, np.int64),
        }

    def push(self, samples: Samples) -> TokenOutput:
        """The tokens that these samples add. samples: float32 (samples,), full scale ±1."""
        self._samples = np.concatenate([self._samples, samples])
        whole = len(self._samples) // self._step
        answers = [
            self._chunk(self._features.push(self._samples[step * self._step : (step + 1) * self._step]))
            for step in range(whole)
        ]
        self._samples = self._samples[whole * self._step :].copy()
        return _together(answers)

    def finish(self) -> TokenOutput:
        """The rest, when no more samples come. The stream is at its end then."""
        rest, self._samples = self._samples, np.zeros(0, np.float32)
        # Less than a frame is not worth being heard; what was ahead of the last chunk still is.
        features = self._features.push(rest, last=True) if len(rest) >= self._model.frontend.hop else None
        return self._chunk(features, last=True)

    def _chunk(self, features: Floats | None, *, last: bool = False) -> TokenOutput:
        chunks = self._model.chunks
        frames = self._overlap if features is None else np.concatenate([self._overlap, features])
        self._overlap = frames[-chunks.ahead :]
        heard = self._run("encoder_chunk", {"features": np.ascontiguousarray(frames[None]), **self._heard})
        kept = self._heard["kept"] + len(frames) - chunks.ahead
        self._heard = _remembered(heard, ("keys", "values"), kept)
        alphas, hidden = heard["alphas"][0].copy(), heard["hidden"]
        check_finite(self._model.name, alphas)
        if not last:
            alphas[chunks.size :] = 0  # they are the next chunk's
        embeddings = self._cif.push(hidden[0], alphas, last=last)
        if not len(embeddings):
            return _together([])
        said = self._run("decoder_chunk", {"embeddings": embeddings[None], "hidden": hidden, **self._said})
        self._said = _remembered(said, ("tokens", "keys", "values"), self._said["kept"] + len(frames))
        best, sure = said["best"][0], said["probability"][0]
        check_finite(self._model.name, sure)
        spoken = ~np.isin(best, self._model.config.silent)
        return TokenOutput(best[spoken].astype(np.int32), None, sure[spoken].copy())


def _remembered(outputs: Mapping[str, Array], names: tuple[str, ...], kept: Array) -> dict[str, Array]:
    """Inputs of the next run of the same graph, by name. Outputs are valid until then only."""
    memories = {name: outputs[f"next_{name}"].copy() for name in names}
    return memories | {"kept": np.minimum(kept, memories["keys"].shape[3])}


def _together(answers: list[TokenOutput]) -> TokenOutput:
    tokens = np.concatenate([np.zeros(0, np.int32), *(answer.tokens for answer in answers)])
    sure = np.concatenate([np.zeros(0, np.float32), *(answer.confidences for answer in answers)])
    return TokenOutput(tokens, None, sure)


class _FeatureStream:
    """Samples to features as the encoder takes them: stacked, normalized, scaled, with their positions."""

    def __init__(self, model: StreamingParaformer) -> None:
        config = model.frontend
        self._config, self._cmvn, self._scale = config, model.cmvn, np.float32(model.config.dim**0.5)
        self._fbank = FbankStream(mels=config.mels, window=config.window)
        self._frames: Floats | None = None
        self._position = 1

    def push(self, samples: Samples, *, last: bool = False) -> Floats:
        """Features that these samples complete, float32 (new, dim); with `last`, those that the end cuts short too."""
        stack, stride = self._config.stack, self._config.stride
        mels = self._fbank.push(samples)
        if self._frames is None:
            self._frames = np.repeat(mels[:1], (stack - 1) // 2, axis=0)
        frames = np.concatenate([self._frames, mels])
        whole = max(0, (len(frames) - stack) // stride + 1)
        count = max(0, -(-(len(frames) - (stack - 1) // 2) // stride)) if last else whole
        places = np.arange(count)[:, None] * stride + np.arange(stack)
        stacks = frames[np.minimum(places, len(frames) - 1)].reshape(count, -1)
        self._frames = frames[whole * stride :].copy()
        features: Floats = (stacks + self._cmvn.shift) * self._cmvn.scale * self._scale
        features += _sinusoids(self._position, count, self._config.dim)
        self._position += count
        return features


def _sinusoids(first: int, count: int, size: int) -> Floats:
    """Positions as `overtone.models.layers.sanm.sinusoids` gives them, from `first` on: float32 (count, size)."""
    step = np.log(np.float32(10_000)) / np.float32(size / 2 - 1)
    rates = np.exp(np.arange(size // 2, dtype=np.float32) * -step)
    angles = np.arange(first, first + count, dtype=np.float32)[:, None] * rates
    positions: Floats = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return positions


class _CifStream:
    """Integrate-and-fire over chunks: what has not fired yet is a frame before the next chunk's. See `tasks.cif`."""

    def __init__(self, dim: int, tail: float) -> None:
        self._share, self._frame = np.float32(0), np.zeros(dim, np.float32)
        self._tail = np.float32(tail)

    def push(self, hidden: Floats, alphas: Floats, *, last: bool) -> Floats:
        """Embeddings that fire within these frames, float32 (tokens, dim)."""
        frames = np.concatenate([self._frame[None], hidden, np.zeros((int(last), hidden.shape[1]), np.float32)])
        shares = np.concatenate([[self._share], alphas, np.full(int(last), self._tail)]).astype(np.float32)
        fired, held, sums = [], np.float32(0), np.zeros_like(self._frame)
        for share, frame in zip(shares, frames, strict=True):
            if share + held < 1:
                held += share
                sums = sums + share * frame
            else:
                fired.append(sums + (1 - held) * frame)
                held += share - np.float32(1)
                sums = held * frame
        self._share, self._frame = held, sums / held if held > 0 else sums
        return np.stack(fired) if fired else np.zeros((0, hidden.shape[1]), np.float32)
