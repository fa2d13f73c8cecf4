"""Speech that is still going on to tokens, by a `ParaformerStreaming`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.models import converted
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FbankStream, FrontendConfig
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.paraformer.chunk_memory import ChunkMemory
from overtone.models.paraformer.chunking import Chunks, check_streamable, memory_shapes
from overtone.models.paraformer.config import STREAMING, ParaformerConfig
from overtone.models.task import RunGraph, check_finite
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.types import Samples, TokenOutput

Floats = npt.NDArray[np.float32]


class StreamingParaformer:
    """Texts and features of one checkpoint, shared by all its streams."""

    graphs = ("encoder_step", "decoder_step")

    def __init__(self, checkpoint: Checkpoint) -> None:
        """CheckpointError where its folder is broken, not of this kind, or was converted before streams could be cut
        in more than one way."""
        self.name = name = checkpoint.name
        conf = checkpoint.config
        self.tokens = CharTokenizer(checkpoint)
        self.config = ParaformerConfig.from_config(conf, len(self.tokens), name, kinds=(STREAMING,))
        check_streamable(self.config, name)
        self.frontend = FrontendConfig.from_config(conf.get("frontend_conf"), name)
        self.cmvn = read_cmvn(checkpoint.text(self.frontend.cmvn_file or "am.mvn"), name)
        SanmConfig.from_config(conf["encoder_conf"], self.frontend.dim, name)
        if len(self.cmvn.shift) != self.frontend.dim:
            raise CheckpointError(
                f"{name}: am.mvn has {len(self.cmvn.shift)} numbers, but features have {self.frontend.dim}."
            )
        self.shapes = memory_shapes(self.config, self.config.encoder_blocks)
        made = converted.read(checkpoint.folder, name)
        if made is not None and not set(self.graphs) <= set(made.graphs):
            raise CheckpointError(
                f"{name}: was converted by an earlier version; convert the published model again with "
                "`overtone models convert`."
            )

    def stream(self, run: RunGraph, chunks: Chunks | None = None) -> ParaformerStream:
        """A new stream of speech, whose graphs are run by `run`. chunks: how it is cut; as published by default."""
        return ParaformerStream(self, run, chunks or Chunks())


class ParaformerStream:
    """One stream: `push` samples as they come, and `finish` when there are no more. Used by one thread at a time.

    Both tell the tokens that are new, without times; ModelError where the model gives what are no numbers, UsageError
    where a stream that looks back at everything has become too long. Holds one chunk of samples, and memories as large
    as its `chunks` say.
    """

    def __init__(self, model: StreamingParaformer, run: RunGraph, chunks: Chunks) -> None:
        self.chunks = chunks
        self._model, self._run = model, run
        self._step = chunks.size * model.frontend.hop
        self._samples = np.zeros(0, np.float32)
        self._features = _FeatureStream(model)
        self._overlap = np.zeros((chunks.overlap, model.frontend.dim), np.float32)
        self._cif = _CifStream(model.config.dim, model.config.predictor.tail)
        encoder, decoder, tokens = (model.shapes[kind] for kind in ("encoder", "decoder", "tokens"))
        # The first chunk is remembered whole, as FunASR does, and not only as much of it as later ones are.
        self._heard = ChunkMemory(encoder, chunks.encoder_back * chunks.size, first=chunks.before + chunks.size)
        self._said = ChunkMemory(decoder, chunks.decoder_back * chunks.size)
        self._tokens = np.zeros([1 if size < 0 else size for size in tokens], np.float32)

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
        chunks = self.chunks
        frames = self._overlap if features is None else np.concatenate([self._overlap, features])
        self._overlap = frames[-chunks.overlap :]
        heard = self._run("encoder_step", {"features": np.ascontiguousarray(frames[None]), **self._heard.inputs})
        alphas, hidden = heard["alphas"][0].copy(), heard["hidden"].copy()
        check_finite(self._model.name, alphas)
        # Without frames ahead FunASR's encoder remembers nothing, whatever it is asked to look back at.
        own = len(frames) - chunks.ahead if chunks.ahead else 0
        self._heard.add(heard["new_keys"][:, :, :, :own], heard["new_values"][:, :, :, :own])
        alphas[: chunks.before] = 0  # they were the chunk's before
        if not last:
            alphas[chunks.before + chunks.size :] = 0  # they are the next chunk's
        embeddings = self._cif.push(hidden[0], alphas, last=last)
        if not len(embeddings):
            return _together([])
        inputs = {"embeddings": embeddings[None], "hidden": hidden, "tokens": self._tokens, **self._said.inputs}
        said = self._run("decoder_step", inputs)
        self._tokens = said["next_tokens"].copy()
        self._said.add(said["new_keys"], said["new_values"])
        best, sure = said["best"][0], said["probability"][0]
        check_finite(self._model.name, sure)
        spoken = ~np.isin(best, self._model.config.silent)
        return TokenOutput(best[spoken].astype(np.int32), None, sure[spoken].copy())


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
