"""Shares of speaking time in a line: the largest, and the sum of the others."""

from __future__ import annotations

from collections.abc import Mapping

from overtone.output.times import duration

NAMED = 3
"""Labels that are named; of the others there is the sum."""

LEAST = 0.005
"""The least share that is shown; a smaller one would read as 0 %."""


def largest_shares(shares: Mapping[str, float]) -> tuple[tuple[tuple[str, float], ...], float]:
    """The labels with the largest shares, each with its own, the largest first; and the sum of all others.

    Those that would read as 0 % are left out, a sum of 0 among them.
    """
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    named = tuple((label, share) for label, share in ordered[:NAMED] if share >= LEAST)
    rest = sum(share for _, share in ordered[NAMED:])
    return named, rest if rest >= LEAST else 0.0


def shares_text(shares: Mapping[str, float], speech_s: float) -> str:
    """A line such as `42 % neutral, 27 % angry, 21 % sad, 10 % others of 35.0 s of speech`.

    Without speech, where silence was judged all the same, it ends before the seconds.
    """
    named, rest = largest_shares(shares)
    parts = [f"{share * 100:.0f} % {label}" for label, share in (*named, *([("others", rest)] if rest else []))]
    return ", ".join(parts) + (f" of {duration(speech_s)} of speech" if speech_s else "")
