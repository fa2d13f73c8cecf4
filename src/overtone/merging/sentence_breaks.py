"""Places where a sentence begins: after a mark, after a pause, at a change of voice. Pure, over arrays of words.

Breaks are bool (words,), true for a word that a sentence begins with. Breaks of several kinds are joined with `|`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.merging.words import WordTable

ENDS = "。？！"
"""Marks that a sentence ends with."""

_LATIN_ENDS = ".?!"
"""Marks that a sentence ends with if a blank follows; between two of `3.5` and of `U.S.` none does."""

MARKS = ("", "，", "。", "？", "、", "！")
"""Marks that a word can be followed by; an array of marks holds places in this."""

MIN_TURN_MS = 700
"""Milliseconds of a turn that cuts a sentence. A voice is known by windows of 1.5 s, one every 0.75 s, so where two
people meet, some of the words of one are taken for the other's; FunASR gives no turn shorter than this, either."""

Breaks = npt.NDArray[np.bool_]

Ranges = npt.NDArray[np.int32]
"""First and last word of each sentence, half-open, int32 (sentences, 2)."""


def breaks_at_segments(table: WordTable) -> Breaks:
    """Breaks at the first word of every segment."""
    found: Breaks = np.diff(table.segment, prepend=-1) != 0
    return found


def breaks_after_own_marks(table: WordTable) -> Breaks:
    """Breaks after the words that are marks of a sentence's end, where the recognizer writes such."""
    ended = (_ends(table, place, text) for place, text in enumerate(table.texts(0, len(table))))
    return _after(np.fromiter(ended, np.bool_, len(table)))


def breaks_after_marks(marks: npt.NDArray[np.uint8]) -> Breaks:
    """Breaks after the words that a restored mark of a sentence's end follows. marks: uint8 (words,)."""
    return _after(np.isin(marks, [place for place, mark in enumerate(MARKS) if mark and mark in ENDS]))


def breaks_at_pauses(table: WordTable, min_pause_ms: int) -> Breaks:
    """Breaks at the words before which there is no speech for `min_pause_ms` or more.

    A pause is what lies between two words that are spoken, or between their segments, if that is longer, as the VAD
    heard it. A mark, which is not spoken, stays with the word that it follows.
    """
    found = np.zeros(len(table), np.bool_)
    spoken = np.flatnonzero(table.spoken)
    if len(spoken) < 2:
        return found
    pauses = table.spans_ms[spoken[1:], 0]
    pauses -= np.maximum.accumulate(table.spans_ms[spoken[:-1], 1])
    segments = np.array([(segment.start_ms, segment.end_ms) for segment in table.segments], np.int32)
    of_words = table.segment[spoken]
    between = segments[of_words[1:], 0]
    between -= segments[of_words[:-1], 1]
    found[spoken[1:][np.maximum(pauses, between, out=pauses) >= min_pause_ms]] = True
    return found


def breaks_at_turns(
    table: WordTable, speakers: npt.NDArray[np.int32], breaks: Breaks, min_turn_ms: int = MIN_TURN_MS
) -> Breaks:
    """Breaks where another speaker takes over, besides those that there are.

    A turn is what one speaker says without a break between. One shorter than `min_turn_ms` cuts nothing: it stays with
    the turn before it, or, where it is the first after a break, with the next.

    Parameters
    ----------
    table
        The words.
    speakers
        The speaker of each word, int32 (words,).
    breaks
        Breaks by marks and pauses.
    min_turn_ms
        Milliseconds from the start of a turn's first word to the end of its last that make it one.
    """
    found = np.zeros(len(speakers), np.bool_)
    if not len(speakers):
        return found
    changes = np.flatnonzero(breaks | (np.diff(speakers, prepend=-1) != 0) | (np.arange(len(speakers)) == 0))
    starts = table.spans_ms[changes, 0]
    ends = np.maximum.reduceat(table.spans_ms[:, 1], changes)
    long = (ends - starts >= min_turn_ms).tolist()
    whose, is_break = speakers[changes].tolist(), breaks[changes].tolist()
    speaker, is_long = -1, False
    for turn, word in enumerate(changes.tolist()):
        if turn == 0 or is_break[turn]:
            speaker, is_long = whose[turn], long[turn]
        elif long[turn]:
            found[word] = is_long and whose[turn] != speaker
            speaker, is_long = whose[turn], True
    return found


def ranges_of(breaks: Breaks) -> Ranges:
    """Sentences that begin at the breaks, and one at the first word."""
    words = len(breaks)
    if not words:
        return np.zeros((0, 2), np.int32)
    starts = np.union1d([0], np.flatnonzero(breaks))
    return np.stack([starts, np.append(starts[1:], words)], axis=1).astype(np.int32)


def _ends(table: WordTable, place: int, text: str) -> bool:
    if text[-1:] not in _LATIN_ENDS:
        return text[-1:] in ENDS
    return place + 1 == len(table) or " " in table.text(place, place + 2)


def _after(ended: Breaks) -> Breaks:
    found = np.zeros(len(ended), np.bool_)
    found[1:] = ended[:-1]
    return found
