"""Speech to tokens by the Paraformer family: features, the encoder, tokens that fire, their names, and their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.checkpoints import Checkpoint
from overtone.errors import UsageError
from overtone.frontend import FRAME, Frontend, FrontendConfig, padded, read_cmvn
from overtone.tasks import cif, fire_times
from overtone.tasks.base import Array, Run
from overtone.tasks.characters import CharTokens
from overtone.tasks.hotwords import Hotwords
from overtone.tasks.paraformer_config import ParaformerConfig
from overtone.values import Batch, Recognized

_FRAMES, _TOKENS, _WORDS = 10, 8, 8
"""Padded numbers of frames, tokens and hot words are multiples of these, which bounds how many shapes graphs meet."""

_LISTENED = 50
"""Hot words that a row listens for: of more, those that its tokens look at most. FunASR's number."""


@dataclass(frozen=True, slots=True)
class ParaformerWish:
    """What a Paraformer can be asked. hotwords: words that are expected, each with blanks where it has some."""

    hotwords: tuple[str, ...] = ()


class ParaformerTask:
    """The work of a `Paraformer`, `BiCifParaformer` or `SeacoParaformer`. See Task."""

    shortest = FRAME

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError where its folder is broken, or asks for something that is not implemented."""
        name = checkpoint.name
        self.tokens = CharTokens(checkpoint)
        self._name = name
        self._config = ParaformerConfig.from_config(checkpoint.config, len(self.tokens), name)
        frontend = FrontendConfig.from_config(checkpoint.config.get("frontend_conf") or {}, name)
        cmvn = read_cmvn(checkpoint.text(frontend.cmvn_file or "am.mvn"), name)
        self._frontend = Frontend(frontend, cmvn, name=name)
        self._hotwords = Hotwords(checkpoint, self.tokens, self._config.start) if self._config.hotwords else None
        self.hop = frontend.hop

    @property
    def graphs(self) -> Sequence[str]:
        """See Task."""
        config = self._config
        there = {
            "times": config.predictor.times,
            "hotwords": config.hotwords is not None,
            "hotword_scores": config.scores_hotwords,
            "seaco": config.hotwords is not None,
        }
        return ("encoder", "decoder", *(graph for graph, is_there in there.items() if is_there))

    def answer(self, run: Run, batch: Batch) -> list[Recognized]:
        """See Task. `batch.wish`: a ParaformerWish, or None. UsageError for hot words where the model takes none."""
        wish = batch.wish if isinstance(batch.wish, ParaformerWish) else ParaformerWish()
        if wish.hotwords and self._hotwords is None:
            raise UsageError(f"{self._name}: takes no hot words; a SeacoParaformer does.")
        features, counts = padded([self._frontend(waveform) for waveform in batch.waveforms], _FRAMES)
        heard = run("encoder", {"features": features, "counts": counts})
        hidden, alphas = heard["hidden"], heard["alphas"]
        lengths = cif.token_counts(alphas, tail=self._config.predictor.tail > 0)
        if not lengths.any():
            return [self._recognized(*_NOTHING, None) for _ in lengths]
        embeddings = cif.embeddings(hidden, alphas, lengths, step=_TOKENS)
        said = run("decoder", {"embeddings": embeddings, "tokens": lengths, "hidden": hidden, "counts": counts})
        best, sure = said["best"], said["probability"]
        if wish.hotwords:
            listened = self._listen(run, wish, {"embeddings": embeddings, "states": said["states"], "tokens": lengths})
            meant = listened["best"] != self._config.no_hotword
            best, sure = np.where(meant, listened["best"], best), np.where(meant, listened["probability"], sure)
        weights = None
        if self._config.predictor.times:
            weights = run("times", {"hidden": hidden, "counts": counts})["weights"]
        upsample = self._config.predictor.upsample
        return [
            self._recognized(
                best[row, :length],
                sure[row, :length],
                None if weights is None else weights[row, : counts[row] * upsample],
            )
            for row, length in enumerate(lengths)
        ]

    def _recognized(
        self, tokens: npt.NDArray[np.int64], sure: npt.NDArray[np.float32], weights: npt.NDArray[np.float32] | None
    ) -> Recognized:
        kept = ~np.isin(tokens, self._config.silent)
        times = np.zeros((0, 2), np.int32) if self._config.predictor.times else None
        if weights is not None:
            weights = fire_times.scaled(weights, len(tokens))
            times = fire_times.token_times(weights, int(kept.sum()), upsample=self._config.predictor.upsample)
        return Recognized(tokens[kept].astype(np.int32), times, sure[kept].astype(np.float32))

    def _listen(self, run: Run, wish: ParaformerWish, rows: Mapping[str, Array]) -> Mapping[str, Array]:
        """What the decoder of hot words says. rows: the batch's `embeddings`, `states` and `tokens`."""
        assert self._hotwords is not None
        words, lengths = self._hotwords.ids(wish.hotwords)
        count, batch = len(words), len(rows["tokens"])
        spare = -count % _WORDS
        given = {
            "words": np.pad(words, ((0, spare), (0, 0))),
            "lengths": np.pad(lengths, (0, spare), constant_values=1),
        }
        vectors = np.repeat(run("hotwords", given)["vectors"][None], batch, axis=0)
        among = {"vectors": vectors, "words": np.full(batch, count, np.int64)}
        if count > _LISTENED and self._config.scores_hotwords:
            looked = {"states": rows["states"], "tokens": rows["tokens"]}
            scores = run("hotword_scores", looked | among)["scores"][:, :count]
            among = _most_looked_at(vectors, scores)
        return run("seaco", dict(rows) | among)


def _most_looked_at(vectors: Array, scores: Array) -> dict[str, Array]:
    """The vectors of each row's highest scores, and of what stands for none, which is the last one in any case."""
    batch, count = scores.shape
    kept = np.argsort(-scores, axis=1, kind="stable")[:, :_LISTENED]
    kept = np.concatenate([kept, np.full((batch, 1), count - 1)], axis=1)
    chosen = np.take_along_axis(vectors, kept[:, :, None], axis=1)
    spare = -chosen.shape[1] % _WORDS
    return {
        "vectors": np.pad(chosen, ((0, 0), (0, spare), (0, 0))),
        "words": np.full(batch, chosen.shape[1], np.int64),
    }


_NOTHING = np.zeros(0, np.int64), np.zeros(0, np.float32)
