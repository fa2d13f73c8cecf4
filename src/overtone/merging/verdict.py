"""The verdict on a whole source, pure: the mean of its segments' scores, and the shares of their labels.

Both are weighted by speaking time. Moods that take turns have no mean frame: its head may name a class that no segment
has. A mean of scores lies between those of the segments, and moves no further than they do when the source is cut
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.merging.timeline import Timeline, top_label


@dataclass(frozen=True, slots=True)
class Verdict:
    """The emotion of a source as its timeline has it; fields as in `EmotionResult`, all None without classes."""

    label: str | None
    score: float | None
    scores: Mapping[str, float] | None
    shares: Mapping[str, float] | None


def make_verdict(timeline: Timeline) -> Verdict:
    """The verdict of a timeline with at least one entry that was judged.

    The timeline is there in full, so the sums are taken in the order of time, and do not depend on the order in which
    outputs came.
    """
    if not timeline.labels:
        return Verdict(None, None, None, None)
    scores = timeline.scores
    weights = speaking_time(timeline.speech, timeline.judged)
    shares = np.bincount(scores.argmax(axis=1), weights, minlength=len(timeline.labels))
    label, score, means = top_label(timeline.labels, weights @ scores)
    return Verdict(label, score, means, dict(zip(timeline.labels, shares.tolist(), strict=True)))


def speaking_time(speech: npt.NDArray[np.int64], judged: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The weight of each entry, float64 (entries,), which sum to 1.

    Parameters
    ----------
    speech
        Samples of speech in each, int64 (entries,); 0 for silence.
    judged
        Samples that the model heard of each, int64 (entries,), of which at least one is not 0. They take the place of
        `speech` where no entry has any: silence that was judged all the same, as with `keep_silence`.

    A weight of a single entry is 1 exactly, so its scores stay as they are, to the bit.
    """
    taken = (speech if speech.any() else judged).astype(np.float64)
    taken /= taken.sum()
    return taken
