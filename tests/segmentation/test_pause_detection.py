from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overtone.segmentation.pause_detection import FrameSpan, PauseDetector, PauseRules, best_split
from overtone.segmentation.voiced_frames import MIN_VOICED

FRAMES = st.lists(
    st.tuples(st.sampled_from([0.02, 0.3, 0.4, 0.6, 0.98]), st.floats(0, 1)).flatmap(
        lambda frame: st.integers(1, 30).map(lambda n: [frame] * n)
    ),
    max_size=30,
).map(lambda runs: [frame for run in runs for frame in run])


def cut(frames: list[tuple[float, float]], rules: PauseRules) -> list[FrameSpan]:
    cutter = PauseDetector(rules)
    spans = [span for frame in frames for span in cutter.push(*frame)]
    return spans + list(cutter.finish())


@given(FRAMES, st.integers(20, 80), st.none() | st.integers(20, 80))
def test_spans_partition_the_stream_and_speech_is_never_too_long(
    frames: list[tuple[float, float]], max_frames: int, max_silence: int | None
) -> None:
    spans = cut(frames, PauseRules(max_frames=max_frames, max_silence=max_silence))
    edges = [0]
    for span in spans:
        assert span.start == edges[-1]
        assert span.start < span.stop
        edges.append(span.stop)
        if not span.silent:
            assert span.stop - span.start <= max_frames
    assert edges[-1] == len(frames)


@given(FRAMES, st.integers(20, 80))
def test_what_is_no_longer_needed_never_comes_back(frames: list[tuple[float, float]], max_frames: int) -> None:
    cutter = PauseDetector(PauseRules(max_frames=max_frames))
    needed = 0
    for frame in frames:
        for span in cutter.push(*frame):
            assert span.silent or span.start >= needed
        needed = cutter.keep_from
    assert all(span.silent or span.start >= needed for span in cutter.finish())


@given(FRAMES)
def test_long_enough_speech_is_found_and_silence_is_not_called_speech(frames: list[tuple[float, float]]) -> None:
    rules = PauseRules(max_frames=1000)
    speech = [range(s.start, s.stop) for s in cut(frames, rules) if not s.silent]
    for span in speech:
        assert any(frames[i][0] >= 0.5 for i in span)
    loud = [i for i, (p, _) in enumerate(frames) if p >= 0.5]
    # A run of `min_voiced` voiced frames is speech wherever it stands.
    run = 0
    for i, (p, _) in enumerate(frames):
        run = run + 1 if p >= 0.5 else 0
        if run >= rules.min_voiced:
            assert any(i in span for span in speech), (i, loud)


def test_a_pause_ends_a_span_and_keeps_a_pad() -> None:
    frames = [(0.9, 1.0)] * 40 + [(0.01, 0.0)] * 30 + [(0.9, 1.0)] * 40
    assert cut(frames, PauseRules(max_frames=500)) == [
        FrameSpan(0, 43, silent=False),
        FrameSpan(43, 67, silent=True),
        FrameSpan(67, 110, silent=False),
    ]


def test_speech_without_end_is_cut_at_its_longest_pause() -> None:
    frames = [(0.9, 1.0)] * 60 + [(0.1, 0.1)] * 6 + [(0.9, 1.0)] * 60
    spans = cut(frames, PauseRules(max_frames=100))
    assert [s.silent for s in spans] == [False, False]
    assert 60 <= spans[0].stop <= 66


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    levels = [1.0] * 80 + [0.01] * 5 + [1.0] * 65
    spans = cut([(0.9, level) for level in levels], PauseRules(max_frames=100))
    assert 80 <= spans[0].stop <= 85


def test_a_click_is_not_speech() -> None:
    frames = [(0.0, 0.0)] * 50 + [(0.9, 1.0)] * (MIN_VOICED - 1) + [(0.0, 0.0)] * 50
    assert cut(frames, PauseRules(max_frames=100)) == [FrameSpan(0, 100 + MIN_VOICED - 1, silent=True)]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 10)), min_size=2, max_size=200))
def test_a_cut_leaves_something_on_both_sides(frames: list[tuple[float, float]]) -> None:
    probabilities, levels = [p for p, _ in frames], [x for _, x in frames]
    assert 1 <= best_split(probabilities, levels) < len(frames)
