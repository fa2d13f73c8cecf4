"""`Corruption`: what could not be decoded on the way through a source, and how to say so."""

from __future__ import annotations

MAX_FAILURES = 1000
"""Damaged packets in a row after which the rest of a source is given up."""


class Corruption:
    """A count of failures: those in a row now, and those that good audio followed."""

    def __init__(self) -> None:
        self._in_a_row, self._since_s, self._reason = 0, 0.0, ""
        self._left_out, self._first_s = 0, 0.0

    @property
    def exceeded(self) -> bool:
        """Whether to give up."""
        return self._in_a_row >= MAX_FAILURES

    def record_failure(self, at_s: float, reason: str) -> None:
        """Something failed after `at_s` seconds of good audio."""
        if not self._in_a_row:
            self._since_s, self._reason = at_s, reason
        self._in_a_row += 1

    def record_success(self) -> None:
        """Good audio came: what failed before it was only left out."""
        if self._in_a_row:
            self._first_s = self._first_s if self._left_out else self._since_s
            self._left_out += self._in_a_row
            self._in_a_row = 0

    def stream_failed(self, at_s: float, reason: str) -> None:
        """The source itself gave out, which explains whatever failed just before."""
        self._in_a_row, self._since_s, self._reason = 1, at_s, reason

    def warnings(self) -> list[str]:
        """What to say of a source that gave some audio, once it is over."""
        texts = []
        if self._left_out:
            texts.append(f"{self._left_out} damaged packets were left out, the first at {self._first_s:.3f} s")
        if self._in_a_row:
            texts.append(f"decoding broke at {self._since_s:.3f} s ({self._reason}): the audio before it was used")
        return texts
