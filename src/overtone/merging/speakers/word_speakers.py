"""The speaker of every word and of every sentence, from the turns that diarization found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from overtone.merging.speakers.diarization import Turn

Speakers = npt.NDArray[np.int32]


def speakers_of_words(spans_ms: npt.NDArray[np.int32], turns: Sequence[Turn]) -> Speakers:
    """The speaker of each word, int32 (words,): whose turns overlap it most, or are nearest where none overlaps it.

    spans_ms: int32 (words, 2). turns: in order of time. 0 for all where there are no turns.
    """
    if not turns:
        return np.zeros(len(spans_ms), np.int32)
    starts = [turn.start * 1000 for turn in turns]
    # Ends are in order but for what rounding moved.
    ends = list(accumulate((turn.end * 1000 for turn in turns), max))
    found: list[int] = []
    before: list[int] = []
    for span in spans_ms.tolist():
        if span == before:
            found.append(found[-1])
            continue
        before, (first, last) = span, span
        near = range(bisect_right(ends, first), bisect_left(starts, last))
        found.append(_most(turns, near, first, last) if near else _nearest(turns, near.start, first, last))
    return np.array(found, np.int32)


def speakers_of_sentences(
    speakers: Speakers, spans_ms: npt.NDArray[np.int32], ranges: npt.NDArray[np.int32]
) -> Speakers:
    """The speaker of each sentence, int32 (sentences,): who speaks most of it by time, of two alike who is first.

    speakers, spans_ms: of words. ranges: first and last word of each sentence, half-open, int32 (sentences, 2).
    """
    # A word of no length counts a little, so that a sentence of such has a speaker too.
    weights = np.maximum(spans_ms[:, 1] - spans_ms[:, 0], 0) + 1e-3
    found = []
    for first, stop in ranges.tolist():
        voices, at, of = np.unique(speakers[first:stop], return_index=True, return_inverse=True)
        shares = np.bincount(of.reshape(-1), weights[first:stop])
        leaders = np.flatnonzero(shares >= shares.max() - 1e-6)
        found.append(int(voices[leaders[at[leaders].argmin()]]))
    return np.array(found, np.int32)


def only_speakers(words: Speakers, sentences: Speakers, ranges: npt.NDArray[np.int32]) -> Speakers:
    """Speakers of words, where those who have no sentence give their words to the sentence's speaker."""
    whole = np.repeat(sentences, ranges[:, 1] - ranges[:, 0])
    return np.where(np.isin(words, sentences), words, whole).astype(np.int32)


def _most(turns: Sequence[Turn], near: range, first: int, last: int) -> int:
    shares: dict[int, float] = {}
    for turn in (turns[place] for place in near):
        overlap = min(turn.end * 1000, last) - max(turn.start * 1000, first)
        shares[turn.speaker] = shares.get(turn.speaker, 0.0) + overlap
    return max(shares, key=lambda speaker: shares[speaker])


def _nearest(turns: Sequence[Turn], after: int, first: int, last: int) -> int:
    """The speaker of the turn before place `after`, or of the one there."""
    around = [turns[place] for place in (after - 1, after) if 0 <= place < len(turns)]
    return min(around, key=lambda turn: max(turn.start * 1000 - last, first - turn.end * 1000)).speaker
