"""Tokens of Paraformer's vocabularies as text: Chinese characters, and pieces of words of other scripts.

A piece that another one follows in the same word ends in `@@`. The rules are those of FunASR's results: no blanks
between Chinese characters, blanks around words of letters, and letters said one by one are an abbreviation (`i b m`
becomes `IBM`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from overtone.models.checkpoints import Checkpoint
from overtone.models.tokenizers.vocabulary import UNKNOWN, read_vocabulary

_SILENT = frozenset(("<s>", "</s>", UNKNOWN, "<OOV>"))
_OPEN = "@@"

Word = tuple[str, int, int]
"""A word (or a character of a script without blanks), and its first and last token."""


class CharTokenizer:
    """Tokenizer over a checkpoint's vocabulary."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError as `read_vocabulary` does."""
        self._ids = read_vocabulary(checkpoint)
        self._tokens = tuple(self._ids)

    def __len__(self) -> int:
        return len(self._tokens)

    def id(self, token: str) -> int:
        """A token's id; that of `<unk>` for a string that is no token."""
        return self._ids.get(token, self._ids[UNKNOWN])

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids, without punctuation."""
        return "".join(piece.text for piece in self._pieces(tokens)).strip()

    def words(self, tokens: Sequence[int]) -> list[Word]:
        """The words of the same text, each with the places of its first and its last token in `tokens`.

        Joined by blanks they are FunASR's text of a model that has times.
        """
        return [(piece.text, piece.first, piece.last) for piece in self._pieces(tokens) if piece.text != " "]

    def _pieces(self, tokens: Sequence[int]) -> list[_Piece]:
        named = [(place, self._tokens[token]) for place, token in enumerate(tokens)]
        named = [(place, token) for place, token in named if token not in _SILENT]
        if named and all(_in_range(token.replace(" ", "")) for _, token in named):
            pieces = [_Piece(token.replace(" ", ""), place, place) for place, token in named]
        else:
            pieces = list(_joined(named))
        return list(_abbreviated(pieces))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word or the blank after it, with its first and last token."""

    text: str
    first: int
    last: int


def _joined(named: Sequence[tuple[int, str]]) -> Iterator[_Piece]:
    """Yield words joined from tokens, and blanks after those of letters, except before a Chinese character that follows
    directly.
    """
    text, span, opened = "", (0, 0), False  # the word that is being put together
    blank = None
    for place, token in named:
        kind = _kind(token)
        if blank and kind != "character":
            yield blank
        blank = None
        if kind in ("letters", "open"):
            span = (span[0], place) if opened else (place, place)
            text += token.replace(_OPEN, "") if kind == "open" else token
            opened = kind == "open"
            if not opened:
                yield _Piece(text, *span)
                text, blank = "", _Piece(" ", place, place)
        elif kind == "character":
            # In the midst of a word that is still open it is said where the word is.
            yield _Piece(token, *(span if opened else (place, place)))
            opened = False
        else:
            yield _Piece(token, place, place)
    if blank:
        yield blank


def _kind(token: str) -> str:
    if token and all(_in_range(character) for character in token):
        return "character"
    if _OPEN in token:
        return "open"
    if token and all(c == "'" or (c.isalpha() and not _in_range(c)) for c in token):
        return "letters"
    return "other"


def _in_range(text: str) -> bool:
    """True if text begins like a Chinese character or a number, as FunASR compares it: as a whole string."""
    return "\u4e00" <= text <= "\u9fff" or "0" <= text <= "9" or text == "@"


def _abbreviated(pieces: list[_Piece]) -> Iterator[_Piece]:
    """Single letters with blanks between them, two or more, become one word in capitals."""
    place = 0
    while place < len(pieces):
        end = place
        if _letter(pieces[place]):
            while end + 2 < len(pieces) and pieces[end + 1].text == " " and _letter(pieces[end + 2]):
                end += 2
        if end > place:
            letters = "".join(piece.text.upper() for piece in pieces[place : end + 1 : 2])
            yield _Piece(letters, pieces[place].first, pieces[end].last)
        else:
            yield pieces[place]
        place = end + 1


def _letter(piece: _Piece) -> bool:
    return len(piece.text) == 1 and piece.text.isascii() and piece.text.isalpha()
