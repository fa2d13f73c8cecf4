"""SenseVoice: what was said, in which language and mood, and what else was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.config_reader import ConfigReader
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FRAME, Frontend, FrontendConfig, padded
from overtone.models.sense_voice.ctc_alignment import BLANK, align, runs
from overtone.models.task import Array, RunGraph, Task, check_finite
from overtone.models.tokenizers.sentencepiece import SentencePieceTokenizer
from overtone.types import SAMPLE_RATE, Batch, ModelOutput, TokenOutput

LANGUAGES: Mapping[str, int] = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12, "nospeech": 13}
"""Languages that can be asked for, and their rows in the table of embeddings."""

QUERIES = 4
"""Frames put before those of the speech. The network says there what language, emotion and event it hears and how it
writes."""

_EVENT, _EMOTION, _WITH_ITN, _WITHOUT_ITN = 1, 2, 14, 15
_FRONTENDS = ("WavFrontend", "wav_frontend")
_TOKENIZER = "SentencepiecesTokenizer"
_STEP = 10
"""Padded frames are a multiple of this."""
_ROWS = 128
"""Frames whose scores of all tokens exist at a time: 13 MB with the published vocabulary. More were no faster."""
_ROW_STEP, _TOKEN_STEP = 64, 32
_UNKNOWN_EMOTION = "<|EMO_UNKNOWN|>"
_NO_TOKEN = -1
_LONE_BLANK = 124
"""The token that FunASR aligns where a blank stands alone."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SenseVoiceParams:
    """Parameters of a batch. language: one of `LANGUAGES`. itn: digits and punctuation. times: of each token.
    some_emotion: in place of `<|EMO_UNKNOWN|>` the likeliest token of its frames besides."""

    language: str = "auto"
    itn: bool = True
    times: bool = True
    some_emotion: bool = False

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise UsageError(f"{self.language!r} is none of SenseVoice's languages: {', '.join(LANGUAGES)}.")


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """Outputs of the network for one waveform's frames, those of the queries first.

    best: the likeliest tokens that may be written. likeliest: of all tokens, as alignment takes them.
    """

    hidden: Floats
    best: Ints
    likeliest: Ints
    probability: Floats
    total: Floats


def frontend_config(config: Mapping[str, Any], name: str) -> FrontendConfig:
    """Its frontend. CheckpointError, with the checkpoint's name and the key, for one that is not known."""
    ConfigReader(config, name).only("frontend", *_FRONTENDS, absent=None)
    return FrontendConfig.from_config(config.get("frontend_conf"), name)


class SenseVoiceTask(Task):
    """Waveforms to `TokenOutput`. `batch.decode_params` is a `SenseVoiceParams`; None stands for its defaults."""

    graphs = ("encoder", "head", "scores")
    min_samples = FRAME

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = frontend_config(checkpoint.config, checkpoint.name)
        ConfigReader(checkpoint.config, checkpoint.name).only("tokenizer", _TOKENIZER, absent=None)
        self._name = checkpoint.name
        cmvn = read_cmvn(checkpoint.text(config.cmvn_file or "am.mvn"), checkpoint.name)
        self._frontend = Frontend(config, cmvn, name=checkpoint.name)
        self.pieces = self.vocabulary = SentencePieceTokenizer.of(checkpoint)
        tokens = range(len(self.pieces))
        self._unknown_emotion = next((token for token in tokens if self.pieces[token] == _UNKNOWN_EMOTION), _NO_TOKEN)
        self.hop = config.hop

    def answer(self, run: RunGraph, batch: Batch) -> list[ModelOutput]:
        """One `TokenOutput` for each waveform, in order."""
        decode_params = batch.decode_params if isinstance(batch.decode_params, SenseVoiceParams) else SenseVoiceParams()
        heard = self._hear(run, batch, decode_params)
        check_finite(self._name, *(one.total for one in heard))
        if decode_params.some_emotion:
            heard = [self._with_some_emotion(run, one) for one in heard]
        return [self._read(run, one, decode_params.times) for one in heard]

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run the graphs as if every second frame began a token, none of them where its frames say."""
        for heard in self._hear(run, batch, SenseVoiceParams()):
            targets = np.arange((len(heard.best) - QUERIES + 1) // 2) % 2 + 1
            chances = _chances(run, heard, targets)
            align(targets, chances[:, 1:], chances[:, 0])

    def _hear(self, run: RunGraph, batch: Batch, decode_params: SenseVoiceParams) -> list[_Heard]:
        features, counts = padded([self._frontend(samples) for samples in batch.waveforms], _STEP)
        asked = [LANGUAGES[decode_params.language], _EVENT, _EMOTION, _WITH_ITN if decode_params.itn else _WITHOUT_ITN]
        queries = np.tile(np.array(asked, np.int64), (len(counts), 1))
        outputs = run("encoder", {"features": features, "counts": counts, "queries": queries})
        return _heard(run, outputs["hidden"], counts + QUERIES)

    def _read(self, run: RunGraph, heard: _Heard, want_times: bool) -> TokenOutput:
        ids, starts, stops = runs(heard.best)
        speech = starts >= QUERIES
        tags = ids[~speech]
        tokens, spans = ids[speech], np.stack([starts[speech], stops[speech]], axis=1)
        if want_times and (written := self._written(ids, len(tags))):
            aligned = self._align(run, heard, written)
            if aligned is not None:
                tokens, spans = np.array(written), aligned
        return TokenOutput(
            tokens=tokens.astype(np.int32),
            times=self._milliseconds(spans - QUERIES) if want_times else None,
            confidences=_confidences(heard, spans),
            tags=tuple(self.pieces[int(tag)] for tag in tags),
        )

    def _with_some_emotion(self, run: RunGraph, heard: _Heard) -> _Heard:
        """The same, with another token where the likeliest says that the emotion is not known."""
        places = np.flatnonzero(heard.best == self._unknown_emotion)
        best, probability = heard.best.copy(), heard.probability.copy()
        tokens = _filled(np.arange(len(self.pieces)), _TOKEN_STEP)
        for first in range(0, len(places), _ROW_STEP):
            frames = places[first : first + _ROW_STEP]
            rows = _filled(heard.hidden[frames], _ROW_STEP)
            scores = run("scores", {"hidden": rows, "tokens": tokens})["scores"][
                : len(frames), : len(self.pieces)
            ].copy()
            scores[:, self._unknown_emotion] = -np.inf
            best[frames] = scores.argmax(axis=1)
            probability[frames] = np.exp(scores.max(axis=1) - heard.total[frames])
        return replace(heard, best=best, probability=probability)

    def _written(self, ids: Ints, tags: int) -> list[int]:
        """The tokens after the tags as their text is usually written. Empty where that is another text."""
        if tags != QUERIES:
            return []
        said = [int(token) for token in ids]
        text = self.pieces.decode(said)
        written = self.pieces.split(text)
        same = written[:tags] == said[:tags] and self.pieces.decode(written) == text
        return written[tags:] if same else []

    def _align(self, run: RunGraph, heard: _Heard, written: Sequence[int]) -> Ints | None:
        """First frame and the one after the last of each token, int64 (tokens, 2), as FunASR finds them; None where it
        could not.

        FunASR aligns not the tokens, but what each of their pieces becomes as a separate text
        (`SentencePieceTokenizer.encode_standalone`). Where that is what the frames say anyhow, their own path is the
        best of all: at each of its frames it takes the likeliest token. (FunASR gives blanks the probability 1 where
        they are likeliest, which changes nothing there.)
        """
        alone = [parts or [_LONE_BLANK] for parts in self.pieces.encode_standalone(written)]
        targets = np.array([part for parts in alone for part in parts])
        if (targets == BLANK).any() or targets.max() >= len(self.pieces):
            return None
        best = heard.likeliest[QUERIES:]
        said, starts, stops = runs(best)
        if not np.array_equal(said, targets):
            chances = _chances(run, heard, targets)
            found = align(targets, chances[:, 1:], np.where(best == BLANK, np.float32(0), chances[:, 0]))
            if found is None:
                return None
            starts, stops = found
        ends = np.cumsum([len(parts) for parts in alone])
        firsts = np.concatenate([[0], ends[:-1]])
        return np.stack([starts[firsts], stops[ends - 1]], axis=1) + QUERIES

    def _milliseconds(self, frames: Ints) -> npt.NDArray[np.int32]:
        """Frames as FunASR tells their time: half a frame earlier, in seconds, and then cut off to whole milliseconds,
        so that 8040 comes out as 8039."""
        hop_ms = self.hop * 1000 // SAMPLE_RATE
        return (np.maximum((frames * hop_ms - hop_ms // 2) / 1000, 0) * 1000).astype(np.int32)


def _heard(run: RunGraph, hidden: Array, counts: Ints) -> list[_Heard]:
    """Best tokens of the true frames of each row. All of them go through the head together, `_ROWS` at a time."""
    rows: Floats = np.concatenate([row[:count] for row, count in zip(hidden, counts, strict=True)])
    best, probability = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    total = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS):
        piece = rows[start : start + _ROWS]
        outputs = run("head", {"hidden": _filled(piece, _ROW_STEP)})
        for kept, name in ((best, "best"), (probability, "probability"), (total, "total")):
            kept[start : start + len(piece)] = outputs[name][: len(piece)]
    ends = np.cumsum(counts)
    return [
        _Heard(rows[own], best[own], best[own], probability[own], total[own])
        for own in (slice(end - count, end) for end, count in zip(ends, counts, strict=True))
    ]


def _chances(run: RunGraph, heard: _Heard, targets: Ints) -> Floats:
    """Log-probabilities of a blank and of tokens at the frames of speech, float32 (frames, 1 + tokens)."""
    hidden = heard.hidden[QUERIES:]
    tokens = np.concatenate([[BLANK], targets])
    inputs = {"hidden": _filled(hidden, _ROW_STEP), "tokens": _filled(tokens, _TOKEN_STEP)}
    scores = run("scores", inputs)["scores"][: len(hidden), : len(tokens)]
    chances: Floats = scores - heard.total[QUERIES:, None]
    return chances


def _filled(rows: Array, step: int) -> Array:
    """With zeros at the end, so that the number of rows is a multiple of `step`."""
    filled = np.zeros((-(-len(rows) // step) * step, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled


def _confidences(heard: _Heard, spans: Ints) -> Floats:
    """For each span of frames the highest probability of what its frames say; of a blank only where all are blank."""
    spoken = np.where(heard.best == BLANK, np.float32(0), heard.probability)
    highest = (spoken[start:stop].max() or heard.probability[start:stop].max() for start, stop in spans)
    return np.fromiter(highest, np.float32, len(spans))
