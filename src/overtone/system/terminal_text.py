"""Text from strangers, made fit for a terminal or a log: names of files, labels of models, words of other programs."""

from __future__ import annotations

import unicodedata

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, and parts of words and pictures."""


def escape_control_chars(text: str) -> str:
    """Text on one line that no terminal obeys: control characters, line ends, characters that turn or hide others and
    bytes that are no text are escaped as in Python (`\\x1b`, `\\n`, `\\u202e`, `\\udcff`)."""
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
