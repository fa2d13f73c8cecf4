"""Hot words as SeACo-Paraformer is given them: the ids of each word's tokens, divided as the checkpoint says."""

from __future__ import annotations

import re
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError, UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.models.tokenizers.vocabulary import UNKNOWN

MOST, LONGEST = 1000, 32
"""Hot words of one call, and characters of one. More are no longer what somebody expects to hear."""

_FILE = "seg_dict"
_LARGEST, _MOST_LINES = 16 << 20, 1 << 20
"""Bytes, and lines. The published list has 8 MB."""
_LONGEST_LINE = 4096
"""Characters."""
_CHARACTERS = re.compile(r"[\u4E00-\u9FA50-9]+")
"""Words that are divided into characters where the list does not have it as a word."""
_REMEMBERED = 4 * MOST
"""Words whose tokens are kept, as each batch of a call asks for the same: four lists of the most."""


def check_hotwords(hotwords: tuple[str, ...]) -> None:
    """UsageError for more hot words, or longer ones, than are listened for, and for one that is not text."""
    if len(hotwords) > MOST:
        raise UsageError(f"{len(hotwords):,} hot words are more than {MOST:,}; give those that matter most.")
    if too_long := next((word for word in hotwords if len(word) > LONGEST), None):
        raise UsageError(
            f"the hot word {too_long[:LONGEST]!r}… is longer than {LONGEST} characters; give a part of it."
        )
    for word in hotwords:
        try:
            word.encode()
        except UnicodeEncodeError:  # half of a character, as a command line or JSON may have it
            raise UsageError(f"the hot word {word!r} is not text that UTF-8 can write; give it in UTF-8.") from None


class Hotwords:
    """`seg_dict`, a word and its tokens in each line; where a checkpoint has none, words are tokens as they are."""

    def __init__(self, checkpoint: Checkpoint, tokens: CharTokenizer, start: int) -> None:
        """start: the id that stands for "no hot word", which is always among them. CheckpointError: a broken list."""
        self._tokens, self._start = tokens, start
        self._lines = _read(checkpoint) if (checkpoint.folder / _FILE).is_file() else None
        self._ids = lru_cache(_REMEMBERED)(self._ids_of)

    def ids(self, hotwords: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tokens of each hot word and, last, what stands for none: int64 (words + 1, longest), zeros past the end of
        each; and how many each has, int64 (words + 1,)."""
        words = [ids for word in hotwords if (ids := self._ids(word))] + [(self._start,)]
        lengths = np.array([len(word) for word in words], np.int64)
        padded = np.zeros((len(words), int(lengths.max())), np.int64)
        for row, word in zip(padded, words, strict=True):
            row[: len(word)] = word
        return padded, lengths

    def _ids_of(self, word: str) -> tuple[int, ...]:
        return tuple(self._tokens.id(token) for part in word.split() for token in self._divided(part))

    def _divided(self, word: str) -> list[str]:
        if self._lines is None:
            return [word]
        word = word.lower()
        whole = self._listed(word)
        if whole is not None:
            return whole
        if not _CHARACTERS.fullmatch(word):
            return [UNKNOWN]
        parts = (self._listed(character) for character in word)
        return [token for part in parts for token in ([UNKNOWN] if part is None else part)]

    def _listed(self, word: str) -> list[str] | None:
        """The tokens that the list gives for a word; of several lines the last one counts."""
        assert self._lines is not None
        mark = b"\n%b " % word.encode()
        found = self._lines.rfind(mark)
        if found < 0:
            return None
        begin = found + len(mark)
        return self._lines[begin : self._lines.index(b"\n", begin)].decode().split()


def _read(checkpoint: Checkpoint) -> bytes:
    """The list as one string, searched as it is: a dictionary of it would take ten times the memory."""
    path = checkpoint.file(_FILE)
    if path.stat().st_size > _LARGEST:
        raise CheckpointError(f"{checkpoint.name}: {_FILE} is larger than {_LARGEST >> 20} MiB; it cannot be right.")
    found = bytearray(b"\n")
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), ""), 1):
                if number > _MOST_LINES or len(line) == _LONGEST_LINE:
                    raise CheckpointError(
                        f"{checkpoint.name}: {_FILE} has more than {_MOST_LINES:,} lines, or one of more than "
                        f"{_LONGEST_LINE:,} characters; it cannot be right."
                    )
                if words := line.split():
                    found += b"%b %b\n" % (words[0].encode(), " ".join(words[1:]).encode())
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{checkpoint.name}: {_FILE} cannot be read ({error}).") from error
    return bytes(found)
