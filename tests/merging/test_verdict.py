"""The verdict on a source: an exact weighted mean, inside what its segments say, and no more sensitive than these."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.merging.timeline import Timeline
from overtone.merging.verdict import Verdict, make_verdict, speaking_time
from overtone.types import SAMPLE_RATE, Span

LABELS = ("angry", "neutral", "sad")
ROUNDING = 1e-12


class Heard(NamedTuple):
    """A stretch of a source: its samples, how many of them are speech, and its scores; None for silence."""

    samples: int
    speech: int
    scores: tuple[float, ...] | None


def timeline_of(stretches: list[Heard], labels: tuple[str, ...] = LABELS) -> Timeline:
    timeline, start = Timeline(labels), 0
    for index, stretch in enumerate(stretches):
        scores = None if stretch.scores is None else np.array(stretch.scores)
        timeline.put(index, Span(start, start + stretch.samples), scores, stretch.speech)
        start += stretch.samples
    return timeline


def verdict(*stretches: Heard) -> Verdict:
    return make_verdict(timeline_of(list(stretches)))


def scores_of(found: Verdict) -> list[float]:
    assert found.scores is not None
    return list(found.scores.values())


@st.composite
def distributions(draw: st.DrawFn) -> tuple[float, ...]:
    """Scores that sum to 1."""
    drawn = draw(st.lists(st.floats(0.001, 1), min_size=len(LABELS), max_size=len(LABELS)))
    return tuple(value / sum(drawn) for value in drawn)


@st.composite
def stretches(draw: st.DrawFn) -> Heard:
    samples = draw(st.integers(400, 30 * SAMPLE_RATE))
    if draw(st.booleans()):
        return Heard(samples, 0, None)
    return Heard(samples, draw(st.integers(1, samples)), draw(distributions()))


sources = st.lists(stretches(), min_size=1, max_size=12).filter(lambda some: any(each.scores for each in some))


@given(sources)
def test_the_verdict_is_the_mean_by_speaking_time_and_the_shares_are_of_it(source: list[Heard]) -> None:
    spoken = [stretch for stretch in source if stretch.scores is not None]
    total = sum(stretch.speech for stretch in spoken)
    means = [sum(Fraction(each.scores[at]) * each.speech for each in spoken) / total for at in range(len(LABELS))]
    of_label = {label: Fraction(0) for label in LABELS}
    for each in spoken:
        of_label[LABELS[max(range(len(LABELS)), key=each.scores.__getitem__)]] += Fraction(each.speech, total)
    found = verdict(*source)
    assert scores_of(found) == pytest.approx([float(mean) for mean in means], abs=ROUNDING)
    assert found.shares == pytest.approx({label: float(share) for label, share in of_label.items()}, abs=ROUNDING)
    assert found.label is not None
    assert found.score == max(scores_of(found)) == found.scores[found.label]
    assert list(found.shares) == list(found.scores) == list(LABELS)
    assert sum(found.shares.values()) == pytest.approx(1, abs=ROUNDING)
    assert sum(found.scores.values()) == pytest.approx(1, abs=ROUNDING)


@given(sources)
def test_the_verdict_lies_within_what_the_segments_say(source: list[Heard]) -> None:
    spoken = np.array([stretch.scores for stretch in source if stretch.scores is not None])
    found = np.array(scores_of(verdict(*source)))
    assert (found >= spoken.min(axis=0) - ROUNDING).all()
    assert (found <= spoken.max(axis=0) + ROUNDING).all()


@st.composite
def recut(draw: st.DrawFn) -> list[tuple[Heard, list[Heard]]]:
    """A source, each segment with the shorter ones that it is cut into, and what the model may say of those."""
    pairs = []
    for whole in draw(sources):
        parts = [whole]
        if whole.scores is not None:
            cuts = draw(st.lists(st.integers(0, whole.speech), max_size=3).map(sorted))
            near = draw(st.floats(0, 1))  # how much of the whole's opinion the parts share
            parts = []
            for speech in np.diff([0, *cuts, whole.speech]).tolist():
                opinions = zip(whole.scores, draw(distributions()), strict=True)
                parts.append(Heard(400 + speech, speech, tuple(near * a + (1 - near) * b for a, b in opinions)))
        pairs.append((whole, parts))
    return pairs


@given(recut())
def test_cutting_otherwise_moves_the_verdict_no_further_than_the_segments(
    pairs: list[tuple[Heard, list[Heard]]],
) -> None:
    before = scores_of(verdict(*(whole for whole, _ in pairs)))
    after = scores_of(verdict(*(part for _, parts in pairs for part in parts)))
    moved = max(
        abs(a - b)
        for whole, parts in pairs
        for part in parts
        if whole.scores and part.scores and part.speech
        for a, b in zip(whole.scores, part.scores, strict=True)
    )
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= moved + ROUNDING


@given(st.lists(st.integers(400, 480_000), max_size=5), stretches().filter(lambda one: one.scores is not None))
def test_of_one_segment_with_speech_the_scores_stay_to_the_bit(silence: list[int], spoken: Heard) -> None:
    around = [Heard(samples, 0, None) for samples in silence]
    found = verdict(*around, spoken, *around)
    assert scores_of(found) == list(spoken.scores or ())
    assert sorted(found.shares.values()) == [0.0, 0.0, 1.0]


def test_unlike_moods_are_told_as_what_they_are() -> None:
    calm, furious = Heard(48_000, 48_000, (0.1, 0.9, 0.0)), Heard(16_000, 16_000, (0.8, 0.0, 0.2))
    found = verdict(calm, furious)
    assert (found.label, found.score) == ("neutral", pytest.approx(0.675))
    assert found.shares == {"angry": 0.25, "neutral": 0.75, "sad": 0.0}


def test_a_label_may_lead_in_scores_that_another_has_the_larger_share_of() -> None:
    sure, unsure = Heard(16_000, 16_000, (0.9, 0.0, 0.1)), Heard(17_000, 17_000, (0.4, 0.5, 0.1))
    found = verdict(sure, unsure)
    assert found.label == "angry"
    assert max(found.shares, key=found.shares.__getitem__) == "neutral"


def test_speech_counts_and_not_the_length_of_the_segment() -> None:
    found = verdict(Heard(160_000, 1000, (1.0, 0.0, 0.0)), Heard(3000, 3000, (0.0, 0.0, 1.0)))
    assert scores_of(found) == [0.25, 0.0, 0.75]


def test_silence_that_was_judged_counts_by_its_length_where_nobody_speaks_and_not_at_all_where_somebody_does() -> None:
    short, long = Heard(16_000, 0, (1.0, 0.0, 0.0)), Heard(48_000, 0, (0.0, 1.0, 0.0))
    assert scores_of(verdict(short, Heard(99_000, 0, None), long)) == [0.25, 0.75, 0.0]
    assert scores_of(verdict(short, Heard(800, 1, (0.0, 0.0, 1.0)), long)) == [0.0, 0.0, 1.0]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any))
def test_weights_sum_to_one(speech: list[int]) -> None:
    weights = speaking_time(np.array(speech), np.array(speech) + 1)
    assert weights.sum() == pytest.approx(1, abs=ROUNDING)
    assert ((weights == 0) == (np.array(speech) == 0)).all()


def test_without_classes_there_is_no_verdict() -> None:
    timeline = timeline_of([Heard(16_000, 16_000, ())], ())
    assert make_verdict(timeline) == Verdict(None, None, None, None)
