"""Vocabularies of SentencePiece: ids to pieces to text, and pieces to words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.system.files import read_capped

BLANK = "▁"
"""The sign for a blank between words in pieces (U+2581)."""

_LARGEST = 16 << 20
"""Bytes. Published vocabularies have under 1 MiB."""
_LONGEST = 256
"""Characters of a piece. A result holds it once for each time that it is said."""
_TAG = re.compile(r"<\|[^<>|]*\|>")


class WordSpan(NamedTuple):
    """A word and the first and last of the tokens that make it, inclusive."""

    text: str
    first: int
    last: int


class SentencePieceTokenizer:
    """Tokenizer over a SentencePiece model. Ids are 0 to `len(pieces) - 1`."""

    def __init__(self, path: Path, name: str) -> None:
        """Reads a model of SentencePiece's. CheckpointError, with the checkpoint's name, where it is none."""
        from sentencepiece import SentencePieceProcessor

        try:
            if (data := read_capped(path, _LARGEST)) is None:
                raise CheckpointError(f"{name}: {path.name} is larger than {_LARGEST >> 20} MiB; it cannot be right.")
            self._processor = SentencePieceProcessor(model_proto=data)
            # What is not UTF-8 is an error when it is asked for, which is told now.
            ids = range(len(self._processor))
            longest = max((len(self._processor.IdToPiece(token)) for token in ids), default=0)
            self._processor.DecodeIds(list(ids))
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
            raise CheckpointError(f"{name}: {path.name} is no vocabulary of SentencePiece's ({reason}).") from error
        if not len(self._processor):
            raise CheckpointError(f"{name}: {path.name} is empty; fetch it again.")
        if longest > _LONGEST:
            raise CheckpointError(
                f"{name}: {path.name} has a piece of {longest:,} characters; one has {_LONGEST} at most."
            )
        self._name = name

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> SentencePieceTokenizer:
        """The vocabulary in a checkpoint's folder: its one file that ends in `.bpe.model`."""
        paths = sorted(path.name for path in checkpoint.folder.glob("*.bpe.model"))
        if len(paths) != 1:
            raise CheckpointError(
                f"{checkpoint.name}: {len(paths) or 'no'} files named *.bpe.model in {checkpoint.folder}, not one; "
                "copy the whole published folder."
            )
        return cls(checkpoint.file(paths[0]), checkpoint.name)

    def __len__(self) -> int:
        return len(self._processor)

    def __getitem__(self, token: int) -> str:
        """The piece of an id. CheckpointError where the vocabulary is smaller than the network's."""
        if not 0 <= token < len(self._processor):
            raise CheckpointError(
                f"{self._name}: the network says token {token}, but the vocabulary ends at {len(self._processor) - 1}."
            )
        return str(self._processor.IdToPiece(int(token)))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, tags and all."""
        return str(self._processor.DecodeIds([int(token) for token in tokens]))

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens without tags."""
        return without_tags(self.decode(tokens))

    def split(self, text: str) -> list[int]:
        """The tokens that text is usually written with."""
        return [int(token) for token in self._processor.EncodeAsIds(text)]

    def encode_standalone(self, tokens: Sequence[int]) -> list[list[int]]:
        """The tokens of each token's piece as a separate text: mostly that token, without blanks at its beginning."""
        return [self.split(self[token]) for token in tokens]

    def words(self, tokens: Sequence[int]) -> list[WordSpan]:
        """Tokens as words: a blank begins one, pieces of ASCII letters are joined, all else stands for itself."""
        return join([self[token] for token in tokens])


def join(pieces: Sequence[str]) -> list[WordSpan]:
    """Join pieces to words as `SentencePieceTokenizer.words` does. A lone blank is part of none."""
    words: list[WordSpan] = []
    apart = True
    for index, piece in enumerate(pieces):
        text = piece.removeprefix(BLANK)
        apart = apart or text != piece
        if not text:
            continue
        before = "" if apart else words[-1].text
        if _letters(before) and _letters(text):
            words[-1] = WordSpan(before + text, words[-1].first, index)
        else:
            words.append(WordSpan(text, index, index))
        apart = False
    return words


def _letters(text: str) -> bool:
    return text.isascii() and text.isalpha()


def without_tags(text: str) -> str:
    """Text without the tags of a recognizer, such as `<|zh|>`, and without blanks around it."""
    return _TAG.sub("", text).strip()
