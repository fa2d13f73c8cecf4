"""`PartialText`: the text of a source as far as it is known while its segments are being answered."""

from __future__ import annotations

from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.sentences import joined
from overtone.merging.words import RecognizedSegment, WordTable
from overtone.models.task import Vocabulary
from overtone.types import ModelOutput, Segment, TokenOutput


class PartialText:
    """The beginning of a transcript's text, from outputs of segments that come in any order.

    Whatever `push` has returned, joined without anything between, is a beginning of the text that `TranscriptBuilder`
    makes of the same outputs. Words that still wait for their punctuation by then never come: the whole text has them.
    Used by one thread at a time; holds the outputs that have come before their turn.
    """

    def __init__(self, vocabulary: Vocabulary, punctuator: Punctuator | None) -> None:
        self._vocabulary = vocabulary
        self._punctuation = None if punctuator is None else punctuator.stream()
        self._early: dict[int, RecognizedSegment | None] = {}
        self._next = 0
        self._last = ""
        self._blanks = ""

    def push(self, segment: Segment, output: ModelOutput | None) -> str:
        """Add the recognizer's output for a segment, None for silence. Get the text that has become known.

        Outputs of other models say nothing. ModelError where a model gave values that are no numbers.
        """
        if output is None:
            self._early[segment.index] = None
        elif isinstance(output, TokenOutput):
            self._early[segment.index] = RecognizedSegment(segment.span, output)
        known = []
        while self._next in self._early:
            recognized = self._early.pop(self._next)
            self._next += 1
            if recognized is not None:
                known.append(self._text_of(WordTable([recognized], self._vocabulary)))
        return "".join(known)

    def _text_of(self, table: WordTable) -> str:
        """The text that one more segment adds."""
        if not len(table):
            return ""
        if self._punctuation is None:
            text = table.text(0, len(table))
            added = joined([self._last, text]).removeprefix(self._last)
            self._last = text[-1:] or self._last
            return added
        # The whole text is stripped, so blanks are held until something follows them.
        text = self._blanks + self._punctuation.push(list(table.texts(0, len(table)))).text
        text = text if self._last else text.lstrip()
        shown = text.rstrip()
        self._blanks = text[len(shown) :]
        self._last = shown[-1:] or self._last
        return shown
