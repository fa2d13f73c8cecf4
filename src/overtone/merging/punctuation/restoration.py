"""Recognized words to punctuated text, as FunASR's CT-Transformer does it, in bounded memory.

The model looks at windows of 20 new pieces (characters, English words), each with those before that are not settled.
The last end of a sentence that it sees in a window settles everything up to it, and the rest is looked at again with
the next 20. Where no sentence ends for 200 pieces, the last comma ends one. What remains is settled by the text's end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.merging.punctuation.writer import Writer, ended
from overtone.models.checkpoints import Checkpoint
from overtone.models.ct_transformer.config import GRAPH, PunctuationLabels
from overtone.models.ct_transformer.embedding_table import EmbeddingTable
from overtone.models.ct_transformer.lexicon import read_lexicon
from overtone.models.ct_transformer.tokenizer import (
    Characters,
    Dictionary,
    PunctuationToken,
    Splitter,
    marks_of_characters,
    marks_of_words,
)
from overtone.models.task import RunGraph
from overtone.models.tokenizers.vocabulary import UNKNOWN, read_vocabulary

WINDOW = 20
"""Pieces looked at for the first time, as FunASR has it (`split_size`)."""

COMMA_LIMIT = 200
"""Pieces in a window beyond which a comma ends a sentence (`cache_pop_trigger_limit`)."""

MAX_WINDOW = 500
"""Pieces in a window. FunASR has no such limit, so text without so much as a comma takes it memory and time that grow
with the square of its length; here all but the last `WINDOW` of them are then settled as they are."""

_STEP = 8
"""Windows are padded to multiples of it, so that a runtime meets few shapes."""

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Punctuated:
    """Text with punctuation, and the mark after each of its words: "" for none, or `，`, `。`, `？`, `、`.

    The text of a part begins with a blank where it has to be set apart from the part before it.
    """

    text: str
    marks: list[str]


class Punctuator:
    """A punctuation model. It keeps no state between texts, and belongs to one thread at a time, as `run` does."""

    def __init__(self, checkpoint: Checkpoint, run: RunGraph) -> None:
        """run: runs the graph `punctuation`. Raises CheckpointError where the folder is broken."""
        self.marks = PunctuationLabels.from_config(checkpoint.config, checkpoint.name)
        self._vocabulary = read_vocabulary(checkpoint)
        self._lexicon = read_lexicon(checkpoint)
        self._table = EmbeddingTable(checkpoint)
        self._run = run
        if self._table.shape[0] != len(self._vocabulary):
            raise CheckpointError(
                f"{checkpoint.name}: has {len(self._vocabulary)} words, but vectors of {self._table.shape[0]}; copy "
                "the whole published folder again."
            )

    def punctuate(self, text: str) -> Punctuated:
        """A whole text: what FunASR's `generate` gives for it, as `text` and (as marks, not their ids) `punc_array`.

        Marks are of pieces: characters beyond ASCII and what stands between them and blanks, in one text. Nothing comes
        of a blank text.
        """
        stream = PunctuationStream(self, whole=True)
        parts = [stream.push(text.split()), stream.finish()]
        return Punctuated("".join(part.text for part in parts), [mark for part in parts for mark in part.marks])

    def stream(self) -> PunctuationStream:
        """A stream for a new text, which comes word by word."""
        return PunctuationStream(self)

    def splitter(self) -> Splitter:
        """A splitter of one text's words into pieces."""
        return Characters() if self._lexicon is None else Dictionary(self._lexicon)

    def vectors(self, pieces: Sequence[str]) -> Vectors:
        """Embeddings of pieces, float32 (pieces, dim)."""
        unknown = self._vocabulary[UNKNOWN]
        return self._table.rows([self._vocabulary.get(piece, unknown) for piece in pieces])

    def best(self, vectors: Vectors) -> Ids:
        """Ids of the likeliest marks of one window, int64 (pieces,)."""
        count, dim = vectors.shape
        embedded = np.zeros((1, -(-count // _STEP) * _STEP, dim), np.float32)
        embedded[0, :count] = vectors
        found = self._run(GRAPH, {"embedded": embedded, "counts": np.array([count], np.int64)})
        return np.array(found["best"][0, :count])


class PunctuationStream:
    """One text on its way: give words as they come, get them back with marks as these are settled.

    Up to `MAX_WINDOW` words wait to be settled, some thirty as a rule. However words are given, the same comes back.
    """

    def __init__(self, punctuator: Punctuator, *, whole: bool = False) -> None:
        """whole: marks are of pieces, as FunASR counts them, and not of the words given."""
        self._model = punctuator
        self._splitter = punctuator.splitter()
        self._writer = Writer()
        self._whole = whole
        self._parts: deque[int] = deque()  # of each word that has no mark yet, how many it has between its blanks
        self._new: list[PunctuationToken] = []  # not looked at yet
        self._held: list[PunctuationToken] = []  # looked at, and not settled
        self._vectors = punctuator.vectors([])  # of those
        self._opens = True
        self._marks: deque[str] = deque()  # of parts of words that have not all been settled

    def push(self, words: Sequence[str]) -> Punctuated:
        """Add words, in order. Get the next part of the text, and its words' marks; both may be empty."""
        parts = [word.split() for word in words]
        self._parts.extend(map(len, parts))
        self._new += self._splitter.push([part for word in parts for part in word])
        return self._advance(last=False)

    def finish(self) -> Punctuated:
        """The rest, now that the text has ended."""
        self._new += self._splitter.finish()
        return self._advance(last=True)

    def _advance(self, *, last: bool) -> Punctuated:
        texts: list[str] = []
        marks: list[str] = []
        at = 0
        while len(self._new) - at > WINDOW:
            self._look(self._new[at : at + WINDOW])
            at += WINDOW
            self._settle(texts, marks, last=False)
        del self._new[:at]
        if last and self._new:
            self._look(self._new)
            self._new = []
            self._settle(texts, marks, last=True)
        return Punctuated("".join(texts), marks if self._whole else self._of_words(marks))

    def _look(self, new: list[PunctuationToken]) -> None:
        self._vectors = np.concatenate([self._vectors, self._model.vectors([piece.text for piece in new])])
        self._held = self._held + new

    def _settle(self, texts: list[str], marks: list[str], *, last: bool) -> None:
        """Ask the model for the marks of the pieces that are held, and let go of those that they settle."""
        known = self._model.marks
        best = self._model.best(self._vectors)
        done = len(best) if last else _settled(best, known)
        if not done:
            return
        pieces = self._held[:done]
        shown = [known.shown[mark] for mark in best[:done]]
        text = self._writer.write([piece.text for piece in pieces], shown, opens=self._opens)
        if last and ended(text) != text:
            text, shown[-1] = ended(text), known.shown[known.stop]
        texts.append(text)
        marks += marks_of_characters(pieces, shown) if self._whole else marks_of_words(pieces, shown)
        self._opens = bool(known.ends[best[done - 1]])
        self._held, self._vectors = self._held[done:], self._vectors[done:]

    def _of_words(self, marks: list[str]) -> list[str]:
        """Marks of the words as they were given, of those of their parts: the last one's."""
        self._marks.extend(marks)
        found = []
        while self._parts and len(self._marks) >= self._parts[0]:
            parts = [self._marks.popleft() for _ in range(self._parts.popleft())]
            found.append(parts[-1] if parts else "")
        return found


def _settled(best: Ids, known: PunctuationLabels) -> int:
    """Number of pieces of a window that its marks settle. A comma that ends a sentence is made a full stop."""
    inner = best[2:-1]  # neither the first two pieces nor the last one end a sentence
    if len(ends := np.flatnonzero(known.ends[inner])):
        return int(ends[-1]) + 3
    if len(best) > COMMA_LIMIT and len(commas := np.flatnonzero(known.commas[inner])):
        best[commas[-1] + 2] = known.stop
        return int(commas[-1]) + 3
    return len(best) - WINDOW if len(best) >= MAX_WINDOW else 0
