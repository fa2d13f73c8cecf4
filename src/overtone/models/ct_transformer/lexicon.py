"""Chinese cut into the likeliest words of a dictionary, as jieba does it without its hidden Markov model.

Of all ways to cut a text into words of the dictionary, the one whose words' frequencies have the greatest product. The
dictionary is jieba's own and what the checkpoint adds to it; jieba itself is never imported.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from math import log
from pathlib import Path

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.system.documents import shown

ADDED = "jieba_usr_dict"
"""The checkpoint's own words, one a line: the word, its frequency or none, its part of speech or none."""

_LARGEST = 16 << 20
"""Bytes of a dictionary. jieba's has five million."""

_LONGEST = 64
"""Characters of a word, each of whose beginnings is kept, too. jieba's longest has 16."""

_MOST = 1 << 53
"""Limit of frequencies: up to it floats, which they become, are exact. jieba's have six digits."""

_BLOCK = re.compile(r"([\u4E00-\u9FD5a-zA-Z0-9+#&\._%\-]+)")
"""Characters that words are looked for in; any other character is a word."""
_ADDED_LINE = re.compile(r"^(.+?)( [0-9]+)?( [a-z]+)?$")


class Lexicon:
    """Words by their frequency. 55 MiB with jieba's dictionary."""

    def __init__(self, lines: Iterable[str], added: Iterable[str] = ()) -> None:
        """lines: word and frequency. added: see `ADDED`. ValueError for a line that is neither."""
        self._frequency: dict[str, int] = {}  # also of each beginning of a word, which may be 0
        self._total = self._longest = 0
        for line in lines:
            word, frequency = line.split(" ")[:2]
            self._add(word, int(frequency))
        for line in added:
            if found := _ADDED_LINE.match(line):
                word = found[1]
                self._add(word, int(found[2]) if found[2] else self._frequency_to_join(word))

    def _add(self, word: str, frequency: int) -> None:
        if len(word) > _LONGEST:
            raise ValueError(f"{shown(word)} has more than {_LONGEST} characters")
        if not 0 <= frequency <= _MOST:
            raise ValueError(f"the frequency of {shown(word)} is {shown(frequency)}")
        self._frequency[word] = frequency
        self._total += frequency
        self._longest = max(self._longest, len(word))
        for end in range(1, len(word)):
            self._frequency.setdefault(word[:end], 0)

    def _frequency_to_join(self, word: str) -> int:
        """The smallest frequency that makes a word likelier than the words it would be cut into."""
        likely = 1.0
        for part in self.cut(word):
            likely *= self._frequency.get(part, 1) / float(self._total)
        return max(int(likely * self._total) + 1, self._frequency.get(word, 1))

    def cut(self, text: str) -> Iterator[str]:
        """The words of a text; together they are the text."""
        for place, block in enumerate(_BLOCK.split(text)):
            if place % 2:
                yield from _joined(self._words(block))
            else:
                yield from block

    def certain(self, text: str) -> int:
        """Number of first characters that are cut alike by any text that follows, up to a word's end."""
        start = 0
        for place, block in enumerate(_BLOCK.split(text)):
            if place % 2 and start + len(block) == len(text):
                return start + max(self._joints(block, ended=False), default=0)
            start += len(block)
        return start

    def _joints(self, block: str, *, ended: bool) -> Iterator[int]:
        """Places in a block that no word reaches over, from 0. Without its end, only those that stay so as it grows."""
        reach = 0
        for start in range(len(block)):
            if reach <= start and not (start and _is_alone(block[start - 1]) and _is_alone(block[start])):
                yield start
            if not ended and len(block) - start <= self._longest and block[start:] in self._frequency:
                return  # it may be a word's beginning
            reach = max(reach, self._ends(block, start)[-1])

    def _ends(self, block: str, start: int) -> list[int]:
        """Ends of the words that begin at `start`."""
        ends = []
        for end in range(start + 1, len(block) + 1):
            frequency = self._frequency.get(block[start:end])
            if frequency is None:
                break
            if frequency:
                ends.append(end)
        return ends or [start + 1]

    def _words(self, block: str) -> Iterator[str]:
        """The likeliest words of a block, joint by joint, so that it is one how much of it comes at a time."""
        joints = [*self._joints(block, ended=True), len(block)]
        for start, stop in itertools.pairwise(joints):
            yield from self._likeliest(block[start:stop])

    def _likeliest(self, block: str) -> Iterator[str]:
        whole = log(self._total) if self._total else 0.0
        likely = [0.0] * (len(block) + 1)
        following = [0] * len(block)
        for start in range(len(block) - 1, -1, -1):
            likely[start], following[start] = max(
                (log(self._frequency.get(block[start:end]) or 1) - whole + likely[end], end)
                for end in self._ends(block, start)
            )
        start = 0
        while start < len(block):
            yield block[start : following[start]]
            start = following[start]


def _is_alone(text: str) -> bool:
    """True if it is one Latin letter or digit."""
    return len(text) == 1 and text.isascii() and text.isalnum()


def _joined(words: Iterable[str]) -> Iterator[str]:
    """The same words, with Latin letters and digits that stood alone beside each other as one."""
    run = ""
    for word in words:
        if _is_alone(word):
            run += word
            continue
        if run:
            yield run
            run = ""
        yield word
    if run:
        yield run


def read_lexicon(checkpoint: Checkpoint) -> Lexicon | None:
    """The dictionary that a checkpoint cuts Chinese by; None for one that cuts it into characters.

    Raises CheckpointError where jieba's dictionary is not installed, or a dictionary is broken.
    """
    if not (checkpoint.folder / ADDED).is_file():
        return None
    found = find_spec("jieba")  # which runs nothing of it
    if found is None or found.origin is None:
        raise CheckpointError(
            f"{checkpoint.name}: cuts Chinese into words by jieba's dictionary, which is not installed here. Run `pip "
            "install jieba`, or use ct-punc-c (iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch), which cuts "
            "it into characters."
        )
    try:
        lines = _lines(Path(found.origin).with_name("dict.txt"))
        return Lexicon(lines, _lines(checkpoint.file(ADDED)))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.name}: a dictionary cannot be read ({error}).") from error


def _lines(path: Path) -> Iterator[str]:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path.name} is larger than {_LARGEST >> 20} MiB")
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                yield line.strip()
