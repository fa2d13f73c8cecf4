"""Labels of windows into turns, and turns to sentences. Equal to FunASR's, roundings and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from overtone.merging.speakers.clustering import cluster, renumbered
from overtone.merging.speakers.kmeans import Points
from overtone.types import SAMPLE_RATE

MIN_TURN_S = 0.7
"""Turns shorter than this go to a neighbor."""
_OVERLAP_S = 1e-4
"""Turns that overlap by no more are left alone."""

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's turn, in seconds from the source's start. Turns may have pauses between them."""

    start: float
    end: float
    speaker: int


def seconds(start: int, spans: npt.NDArray[np.int32]) -> Times:
    """First and last second of windows, float64 (windows, 2), counted from the source's start.

    start: sample of the source where their segment begins. spans: the windows' samples in the segment, as
    `SpeakerEmbeddings` has.
    """
    # Two quotients, since that is how FunASR adds: later roundings to 10 ms depend on the last bit.
    return spans / SAMPLE_RATE + start / SAMPLE_RATE


def diarize(embeddings: Points, times: Times, speakers: int | None = None) -> list[Turn]:
    """Turns of the speakers, in order of time.

    embeddings: float32 (windows, dim). times: their seconds, in order, as `seconds` has them. speakers: their
    number, where that is known.
    """
    return turns(times, cluster(embeddings, speakers))


def turns(times: Times, labels: npt.ArrayLike) -> list[Turn]:
    """Turns from windows' times, (windows, 2) in order of time, and labels, (windows,).

    Neighbors with one label are joined; overlaps of two speakers are halved; a rest of less than 0.7 s goes to
    the nearer neighbor; neighbors are joined again. Speakers are numbered as they first appear among the labels, so
    one who had nothing but short turns leaves a gap.
    """
    drafts = [[start, stop] for start, stop in times.tolist()]
    speakers = renumbered(labels).tolist()
    if not drafts:
        return []
    drafts, speakers = _joined(drafts, speakers)
    for before, after in pairwise(drafts):
        if before[1] > after[0] + _OVERLAP_S:
            before[1] = after[0] = (after[0] + before[1]) / 2
    if len(drafts) > 1:
        _give_away_short(drafts, speakers)
        drafts, speakers = _joined(drafts, speakers)
    return [Turn(start, stop, speaker) for (start, stop), speaker in zip(drafts, speakers, strict=True)]


def speakers_of(sentences: Sequence[tuple[float, float]], given: Sequence[Turn]) -> list[int]:
    """The speaker of each sentence, (start, end) in milliseconds: that of the turn that overlaps it most.

    FunASR's rule: of turns in order, one takes over if it alone overlaps more than all counted so far for the speaker
    in the lead, whose first overlap counts twice. 0 where no turn overlaps.
    """
    starts = np.array([turn.start for turn in given]) * 1000
    stops = np.array([turn.end for turn in given]) * 1000
    found = []
    for first, last in sentences:
        overlaps = np.minimum(stops, last) - np.maximum(starts, first)
        leader, longest_overlap = 0, 0.0
        for index in np.flatnonzero(overlaps > 0).tolist():
            speaker, overlap = given[index].speaker, float(overlaps[index])
            if overlap > longest_overlap:
                leader, longest_overlap = speaker, overlap
            if leader == speaker:
                longest_overlap += overlap
        found.append(leader)
    return found


def _joined(drafts: list[list[float]], speakers: list[int]) -> tuple[list[list[float]], list[int]]:
    """Neighbors of one speaker as one, unless there is a pause between them."""
    kept, kept_speakers = [drafts[0]], [speakers[0]]
    for draft, speaker in zip(drafts[1:], speakers[1:], strict=True):
        if speaker != kept_speakers[-1] or draft[0] > kept[-1][1]:
            kept.append(draft)
            kept_speakers.append(speaker)
        else:
            kept[-1][1] = draft[1]
    return kept, kept_speakers


def _give_away_short(drafts: list[list[float]], speakers: list[int]) -> None:
    """Round to 10 ms and give short turns to the neighbor across the shorter pause, one after another, in place."""
    last = len(drafts) - 1
    for i, draft in enumerate(drafts):
        draft[:] = round(draft[0], 2), round(draft[1], 2)
        if draft[1] - draft[0] >= MIN_TURN_S:
            continue
        # What comes after is not rounded yet, as in FunASR.
        before = i > 0 and (i == last or draft[0] - drafts[i - 1][1] <= drafts[i + 1][0] - draft[1])
        speakers[i] = speakers[i - 1] if before else speakers[i + 1]
