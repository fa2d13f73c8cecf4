"""Speech to tokens by the Paraformer family: features, the encoder, tokens that fire, their names, and their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FRAME, Frontend, FrontendConfig, padded
from overtone.models.paraformer import cif, timestamps
from overtone.models.paraformer.config import ParaformerConfig
from overtone.models.paraformer.hotwords import LONGEST, MOST, Hotwords, check_hotwords
from overtone.models.task import Array, RunGraph, Task, check_finite
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.types import Batch, TokenOutput

_FRAMES, _TOKENS, _WORDS = 10, 8, 8
"""Padded numbers of frames, tokens and hot words are multiples of these, which bounds how many shapes graphs meet."""

_WORDS_AT_ONCE = 64
"""Hot words that vectors are made of in one run, at most."""

_LISTENED = 50
"""Hot words that a row listens for: of more, those that its tokens look at most. FunASR's number."""


@dataclass(frozen=True, slots=True)
class ParaformerParams:
    """Parameters of a batch. hotwords: words that are expected, each with blanks where it has some; UsageError
    for more than 1,000, or one of more than 32 characters."""

    hotwords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_hotwords(self.hotwords)


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """The encoder's view of a batch: its outputs, and true frames and tokens of each row."""

    hidden: Array
    alphas: Array
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]


_Said = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32] | None]
"""Of one row: tokens, the probability of each, and where there are times their weights."""


class ParaformerTask(Task):
    """The work of a `Paraformer`, `BiCifParaformer` or `SeacoParaformer`; answers are `TokenOutput`s."""

    min_samples = FRAME

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError where its folder is broken, or asks for something that is not implemented."""
        name = checkpoint.name
        self.tokens = self.vocabulary = CharTokenizer(checkpoint)
        self._name = name
        self._config = ParaformerConfig.from_config(checkpoint.config, len(self.tokens), name)
        frontend = FrontendConfig.from_config(checkpoint.config.get("frontend_conf"), name)
        cmvn = read_cmvn(checkpoint.text(frontend.cmvn_file or "am.mvn"), name)
        self._frontend = Frontend(frontend, cmvn, name=name)
        self._hotwords = Hotwords(checkpoint, self.tokens, self._config.start) if self._config.hotwords else None
        self._known: tuple[tuple[str, ...], Array] = (), np.zeros((0, 0), np.float32)
        self.hop = frontend.hop
        config = self._config
        there = {
            "times": config.predictor.times,
            "hotwords": config.hotwords is not None,
            "hotword_scores": config.scores_hotwords,
            "seaco": config.hotwords is not None,
        }
        self.graphs = ("encoder", "decoder", *(graph for graph, is_there in there.items() if is_there))

    def answer(self, run: RunGraph, batch: Batch) -> list[TokenOutput]:
        """One answer per waveform. `batch.decode_params`: `ParaformerParams` or None.

        Raises UsageError for hot words that it cannot take.
        """
        decode_params = batch.decode_params if isinstance(batch.decode_params, ParaformerParams) else ParaformerParams()
        if decode_params.hotwords and self._hotwords is None:
            raise UsageError(f"{self._name}: takes no hot words; a SeacoParaformer does.")
        features, counts = self._features(batch)
        heard = run("encoder", {"features": features, "counts": counts})
        alphas = heard["alphas"]
        check_finite(self._name, alphas)
        tokens = cif.token_counts(alphas, tail=self._config.predictor.tail > 0)
        if not tokens.any():
            return [self._recognized(*_NOTHING) for _ in tokens]
        vectors = self._vectors_of(run, decode_params.hotwords) if decode_params.hotwords else None
        said = self._say(run, _Heard(heard["hidden"], alphas, counts, tokens), vectors)
        return [self._recognized(*row) for row in said]

    def _vectors_of(self, run: RunGraph, words: tuple[str, ...]) -> Array:
        """A vector of each hot word. The last ones are kept: batch after batch asks for the same."""
        known, vectors = self._known
        if known != words:
            assert self._hotwords is not None
            vectors = _vectors(run, *self._hotwords.ids(words))
            self._known = words, vectors
        return vectors

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run the graphs as if every second frame, which is 8 a second, ended a token, and with the most hot words."""
        features, counts = self._features(batch)
        heard = run("encoder", {"features": features, "counts": counts})
        alphas = np.where(np.arange(heard["alphas"].shape[1]) < counts[:, None], np.float32(0.5), np.float32(0))
        alphas[:, 0] = 1  # so that the shortest row has a token
        vectors = None
        if self._hotwords is not None:
            lengths = np.full(_WORDS_AT_ONCE, LONGEST)
            some = _vectors(run, np.zeros((_WORDS_AT_ONCE, LONGEST), np.int64), lengths)
            vectors = np.resize(some, (MOST + 1, some.shape[1]))
        self._say(run, _Heard(heard["hidden"], alphas, counts, cif.token_counts(alphas)), vectors)

    def _features(self, batch: Batch) -> tuple[Array, npt.NDArray[np.int64]]:
        return padded([self._frontend(waveform) for waveform in batch.waveforms], _FRAMES)

    def _say(self, run: RunGraph, heard: _Heard, vectors: Array | None) -> list[_Said]:
        """Tokens of each row, of which one at least has a token. vectors: of hot words, where there are any."""
        embeddings = cif.embeddings(heard.hidden, heard.alphas, heard.tokens, step=_TOKENS)
        rows: dict[str, Array] = {"embeddings": embeddings, "tokens": heard.tokens}
        frames: dict[str, Array] = {"hidden": heard.hidden, "counts": heard.counts}
        said = run("decoder", rows | frames)
        best, sure = said["best"], said["probability"]
        if vectors is not None:
            listened = self._listen(run, vectors, rows | {"states": said["states"]})
            meant = listened["best"] != self._config.no_hotword
            best, sure = np.where(meant, listened["best"], best), np.where(meant, listened["probability"], sure)
        weights = run("times", frames)["weights"] if self._config.predictor.times else None
        upsample = self._config.predictor.upsample
        return [
            (
                best[row, :length],
                sure[row, :length],
                None if weights is None else weights[row, : heard.counts[row] * upsample],
            )
            for row, length in enumerate(heard.tokens)
        ]

    def _recognized(
        self, tokens: npt.NDArray[np.int64], sure: npt.NDArray[np.float32], weights: npt.NDArray[np.float32] | None
    ) -> TokenOutput:
        check_finite(self._name, sure, *(() if weights is None else (weights,)))
        kept = ~np.isin(tokens, self._config.silent)
        times = np.zeros((0, 2), np.int32) if self._config.predictor.times else None
        if weights is not None:
            weights = timestamps.scale_to_count(weights, len(tokens))
            times = timestamps.token_times(weights, int(kept.sum()), upsample=self._config.predictor.upsample)
        return TokenOutput(tokens[kept].astype(np.int32), times, sure[kept].astype(np.float32))

    def _listen(self, run: RunGraph, vectors: Array, rows: Mapping[str, Array]) -> Mapping[str, Array]:
        """Outputs of the decoder of hot words. rows: the batch's `embeddings`, `states` and `tokens`."""
        count, batch = len(vectors), len(rows["tokens"])
        among = _among(np.broadcast_to(vectors, (batch, *vectors.shape)))
        if count > _LISTENED and self._config.scores_hotwords:
            looked = {"states": rows["states"], "tokens": rows["tokens"]}
            scores = run("hotword_scores", looked | among)["scores"][:, :count]
            among = _among(vectors[_most_looked_at(scores)])
        return run("seaco", dict(rows) | among)


def _vectors(run: RunGraph, words: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Array:
    """A vector of each hot word, float32 (words, dim). words, lengths: as `Hotwords.ids` gives them."""
    vectors = []
    for start in range(0, len(words), _WORDS_AT_ONCE):
        some, own = words[start : start + _WORDS_AT_ONCE], lengths[start : start + _WORDS_AT_ONCE]
        spare = -len(some) % _WORDS
        given = {
            "words": np.pad(some[:, : own.max()], ((0, spare), (0, 0))),
            "lengths": np.pad(own, (0, spare), constant_values=1),
        }
        vectors.append(run("hotwords", given)["vectors"][: len(some)].copy())
    return np.concatenate(vectors)


def _among(vectors: Array) -> dict[str, Array]:
    """Vectors of hot words, (batch, words, dim), as graphs take them: each row has its own, and none is left out."""
    spare = -vectors.shape[1] % _WORDS
    return {
        "vectors": np.pad(vectors, ((0, 0), (0, spare), (0, 0))),
        "words": np.full(len(vectors), vectors.shape[1], np.int64),
    }


def _most_looked_at(scores: Array) -> npt.NDArray[np.int64]:
    """Places of each row's highest scores, and of what stands for none, which is the last one in any case."""
    batch, count = scores.shape
    kept = np.argsort(-scores, axis=1, kind="stable")[:, :_LISTENED]
    return np.concatenate([kept, np.full((batch, 1), count - 1)], axis=1)


_NOTHING: _Said = np.zeros(0, np.int64), np.zeros(0, np.float32), None
