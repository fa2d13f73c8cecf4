from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from overtone.merging.timeline import Timeline
from overtone.results import SILENCE, SegmentResult
from overtone.types import Span

LABELS = ("angry", "sad")


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=300), st.randoms(use_true_random=False))
def test_entries_come_back_in_order_of_time(chances: list[float | None], order: random.Random) -> None:
    expected = []
    for index, chance in enumerate(chances):
        span = Span(index * 320, (index + 1) * 320)
        scores = None if chance is None else {"angry": chance, "sad": 1 - chance}
        best = max(scores, key=scores.__getitem__) if scores else SILENCE
        speech_s = index / 16_000 if scores else 0.0
        expected.append(SegmentResult(span, best, scores[best] if scores else None, scores, speech_s))
    timeline = Timeline(LABELS)
    places = list(range(len(expected)))
    order.shuffle(places)
    for index in places:
        scores = expected[index].scores
        row = None if scores is None else np.array(list(scores.values()))
        timeline.put(index, expected[index].span, row, index)  # silence has no speech, whatever is said of it
    assert list(timeline) == expected
    assert timeline[1:7] == tuple(expected[1:7])
    assert len(timeline) == len(expected)
    assert not expected or timeline[-1] == expected[-1]


def test_without_classes_speech_has_no_label_and_silence_has() -> None:
    timeline = Timeline(())
    timeline.put(0, Span(0, 320), np.zeros(0))
    timeline.put(1, Span(320, 640), None)
    assert [entry.label for entry in timeline] == [None, SILENCE]
    assert timeline[0].scores is None
