"""Pieces and their marks put together to text, as FunASR writes it."""

from __future__ import annotations

from collections.abc import Sequence

from overtone.models.ct_transformer.config import COMMA, QUESTION, STOP

_ENGLISH = {COMMA: ",", STOP: ".", QUESTION: "?"}


class Writer:
    """Writes one text, some pieces at a time. A piece that begins with an ASCII character is called English here."""

    def __init__(self) -> None:
        self._last = ""
        self._ended = False

    def write(self, pieces: Sequence[str], marks: Sequence[str], *, opens: bool) -> str:
        """The next pieces, each with the mark after it. `opens`: they begin the part that the model settles at a time.

        English is set apart by a blank from English before it, and at an opening from anything; the first word of a
        sentence is capitalised.
        """
        written = []
        for place, (text, mark) in enumerate(zip(pieces, marks, strict=True)):
            opening = opens and place == 0
            english = text[0].isascii()
            if english:
                written.append(" " if opening or self._last[:1].isascii() else "")
                text = text.capitalize() if opening or self._ended else text  # noqa: PLW2901
            written += [text, _ENGLISH.get(mark, mark) if english else mark]
            self._last, self._ended = text, mark in (STOP, QUESTION)
        return "".join(written)


def ended(text: str) -> str:
    """A text with a full stop at its end, unless it ends as a sentence does: in its last character's script."""
    last = text[-1]
    if last in ("，", "、"):
        return text[:-1] + STOP
    if last == ",":
        return text[:-1] + "."
    if last.isascii():
        return text if last in ".?" else text + "."
    return text if last in (STOP, QUESTION) else text + STOP
