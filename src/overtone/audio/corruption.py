"""`Corruption`: the failures while a source is decoded, when to give up, and the warnings they become."""

from __future__ import annotations

MAX_FAILURES = 1000
"""Damaged packets in a row after which the rest of a source is given up."""


class Corruption:
    """Counter of decoding failures: those in a row now, and those that good audio followed."""

    def __init__(self) -> None:
        self._in_a_row, self._since_s, self._reason = 0, 0.0, ""
        self._left_out, self._first_s = 0, 0.0

    @property
    def exceeded(self) -> bool:
        """True once the rest of the source is to be given up."""
        return self._in_a_row >= MAX_FAILURES

    def record_failure(self, at_s: float, reason: str) -> None:
        """Count a failure, `at_s` seconds of good audio after the start."""
        if not self._in_a_row:
            self._since_s, self._reason = at_s, reason
        self._in_a_row += 1

    def record_success(self) -> None:
        """Count good audio: the failures before it were only left out."""
        if self._in_a_row:
            self._first_s = self._first_s if self._left_out else self._since_s
            self._left_out += self._in_a_row
            self._in_a_row = 0

    def stream_failed(self, at_s: float, reason: str) -> None:
        """Record that the source itself broke off, which explains the failures just before."""
        self._in_a_row, self._since_s, self._reason = 1, at_s, reason

    def warnings(self) -> list[str]:
        """Warnings about a source that gave some audio, once it is over."""
        texts = []
        if self._left_out:
            texts.append(f"{self._left_out} damaged packets were left out, the first at {self._first_s:.3f} s")
        if self._in_a_row:
            texts.append(f"decoding broke at {self._since_s:.3f} s ({self._reason}): the audio before it was used")
        return texts
