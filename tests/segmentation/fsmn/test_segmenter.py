"""Speech and silence as segments of a stream, with speech where it is loud."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.models.features.fbank import frames_of
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.fsmn_vad.scorer import FsmnStream, Scores
from overtone.segmentation.fsmn.endpoint_detector import EndpointDetector
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter
from overtone.segmentation.fsmn.span_merger import MergedSpan, SpanMerger, merged
from overtone.segmentation.segmenters import Segmenter
from overtone.types import Segment, Span

OPTIONS = VadOptions(max_single_segment_time=20_000, chunk_size=15_000)
LONGEST = 16_000 * 30


class LoudStream(FsmnStream):
    """In place of a network: speech is where it is loud. As late as a network is, a block of 1 s at a time."""

    def __init__(self) -> None:
        self.samples = self._given = 0
        self._loud = np.zeros(0, np.float32)
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> Scores:
        self.samples += len(samples)
        rest = np.concatenate([self._rest, samples])
        whole = len(rest) // 160 * 160
        self._loud = np.concatenate([self._loud, np.abs(rest[:whole].reshape(-1, 160)).max(axis=1)])
        self._rest = rest[whole:]
        return self._scores((frames_of(self.samples) - self._given - 2) // 100 * 100)

    def finish(self) -> Scores:
        return self._scores(frames_of(self.samples) - self._given)

    def _scores(self, count: int) -> Scores:
        loud, self._loud = self._loud[: max(count, 0)], self._loud[max(count, 0) :]
        self._given += len(loud)
        return Scores(np.where(loud > 0.01, 0.05, 0.95).astype(np.float32), np.zeros(len(loud), np.float32))


def cutters(options: VadOptions = OPTIONS, longest: int = LONGEST) -> dict[str, Segmenter]:
    return {
        "apart": FsmnSegmenter(LoudStream(), options, longest=longest),
        "joined": MergingSegmenter(LoudStream(), options, longest=longest, merge_length_s=15),
        "joined, gaps heard": MergingSegmenter(
            LoudStream(), options, longest=longest, merge_length_s=15, hear_gaps=True
        ),
        "joined to short ones": MergingSegmenter(LoudStream(), options, longest=longest, merge_length_s=4),
    }


def talk(seed: int, seconds: float) -> np.ndarray:
    """Noise that is loud and quiet by turns; sometimes there is one turn only."""
    random = np.random.default_rng(seed)
    means_s = random.choice([0.2, 1, 4, 15, 60], size=2)
    loudness, on = [np.zeros(0)], bool(random.integers(2))
    while sum(map(len, loudness)) < seconds * 16_000:
        loudness.append(np.full(int(random.exponential(means_s[int(on)]) * 16_000), 0.1 if on else 0.0001))
        on = not on
    level = np.concatenate(loudness)[: int(seconds * 16_000)]
    return (level * random.uniform(-1, 1, len(level))).astype(np.float32)


def cut(cutter: Segmenter, samples: np.ndarray, sizes: Iterator[int]) -> list[Segment]:
    segments, at = [], 0
    while at < len(samples):
        size = next(sizes)
        segments += cutter.push(samples[at : at + size])
        at += size
    return segments + list(cutter.finish())


def spans_ms(samples: np.ndarray, options: VadOptions = OPTIONS) -> list[tuple[int, int]]:
    """Segments as the detector has them."""
    detector, scorer = EndpointDetector(options), LoudStream()
    first, last = scorer.push(samples), scorer.finish()
    found = detector.push(first.silence, first.decibels)
    return found + detector.finish(last.silence, last.decibels, len(samples))


def speech_ms(segments: list[Segment]) -> list[tuple[int, int]]:
    return [(one.span.start // 16, one.span.stop // 16) for one in segments if not one.silent]


@pytest.mark.parametrize("name", cutters())
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), seconds=st.floats(0, 100), sizes=st.lists(st.integers(800, 200_000), min_size=1))
def test_segments_partition_the_stream_however_it_comes(name: str, seed: int, seconds: float, sizes: list[int]) -> None:
    samples = talk(seed, seconds)
    whole = cut(cutters()[name], samples, itertools.repeat(max(len(samples), 1)))
    parts = cut(cutters()[name], samples, itertools.cycle(sizes))
    assert [(s.index, s.span, s.silent) for s in whole] == [(s.index, s.span, s.silent) for s in parts]
    assert [segment.index for segment in whole] == list(range(len(whole)))
    edges = [0, *(segment.span.stop for segment in whole)]
    assert edges[-1] == len(samples)
    for start, one, other in zip(edges, whole, parts, strict=False):
        assert one.span.start == start < one.span.stop
        want = samples[:0] if one.silent else samples[one.span.start : one.span.stop]
        np.testing.assert_array_equal(one.samples, want)
        np.testing.assert_array_equal(other.samples, want)
        assert one.silent or len(one.span) <= LONGEST
    assert not any(one.silent and other.silent for one, other in itertools.pairwise(whole))


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), seconds=st.floats(0, 150))
def test_segments_are_those_of_the_detector_joined_as_funasr_does(seed: int, seconds: float) -> None:
    vad_utils = pytest.importorskip("funasr.utils.vad_utils", reason="funasr, the oracle, is not installed")
    samples = talk(seed, seconds)
    spans = spans_ms(samples)
    found = {name: speech_ms(cut(cutter, samples, itertools.repeat(50_000))) for name, cutter in cutters().items()}
    assert found["apart"] == spans
    theirs = [tuple(span) for span in vad_utils.merge_vad([list(span) for span in spans], 15_000)]
    assert found["joined, gaps heard"] == [(a, b) for a, b in theirs if b - a < 30_000 or _has_speech(a, b, spans)]
    assert found["joined"] == [(a, b) for a, b in theirs if _has_speech(a, b, spans)]


def _has_speech(start: int, stop: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= first and last <= stop for first, last in spans)


SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 2500)), max_size=12).map(
    lambda steps: [
        (10 * (sum(a + b for a, b in steps[:i]) + gap), 10 * (sum(a + b for a, b in steps[: i + 1])))
        for i, (gap, _) in enumerate(steps)
    ]
)


@given(spans=SPANS, merge_ms=st.sampled_from([0, 10, 3000, 15_000, 40_000]))
def test_merging_is_that_of_funasr(spans: list[tuple[int, int]], merge_ms: int) -> None:
    vad_utils = pytest.importorskip("funasr.utils.vad_utils", reason="funasr, the oracle, is not installed")
    assert merged(spans, merge_ms) == [tuple(span) for span in vad_utils.merge_vad([list(s) for s in spans], merge_ms)]


@given(spans=SPANS, looks=st.lists(st.integers(0, 40_000), max_size=8))
def test_looking_at_the_clock_changes_no_piece(spans: list[tuple[int, int]], looks: list[int]) -> None:
    def pieces(looks: list[int]) -> list[MergedSpan]:
        merger, at, found = SpanMerger(15_000), 0, []
        for edge, step in [(edge, step) for start, end in spans for edge, step in ((start, "start"), (end, "end"))]:
            for look in sorted(looks):
                if at <= look * 10 <= edge:
                    found += merger.advance_to(look * 10)
            found += getattr(merger, step)(edge)
            at = edge
        return found + merger.finish()

    assert pieces(looks) == pieces([])


def test_a_segment_alone_is_not_joined_to_the_silence_before_it() -> None:
    quiet, speech = np.zeros(5 * 16_000, np.float32), talk_on(3)
    for name in ("joined", "joined, gaps heard"):
        samples = np.concatenate([quiet, speech, np.tile(quiet, 10)])
        silence, alone, rest = cut(cutters()[name], samples, itertools.repeat(16_000))
        assert (silence.silent, alone.silent, rest.silent) == (True, False, True)
        assert alone.span.start > 4 * 16_000
        np.testing.assert_array_equal(alone.samples, samples[alone.span.start : alone.span.stop])
        first, *_ = cut(cutters()[name], np.concatenate([samples, speech]), itertools.repeat(16_000))
        assert first.span == Span(0, alone.span.stop)


def talk_on(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.1, 0.1, int(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize("longest", [6720, 16_000, 16_007, 5 * 16_000, 40 * 16_000])
def test_no_speech_is_longer_than_the_longest(longest: int) -> None:
    samples = talk_on(50)
    for cutter in cutters(longest=longest).values():
        segments = cut(cutter, samples, itertools.repeat(7_000))
        lengths = [len(segment.span) for segment in segments if not segment.silent]
        assert sum(lengths) >= len(samples) - 400
        assert max(lengths) <= longest
        assert max(lengths) >= min(longest // 160 * 160, 20_010 * 16)


def test_a_longest_that_the_look_back_alone_would_exceed_is_refused() -> None:
    with pytest.raises(ValueError, match="6720"):
        FsmnSegmenter(LoudStream(), OPTIONS, longest=6719)


@pytest.mark.parametrize("name", cutters())
@pytest.mark.parametrize("kind", ["silence", "speech", "one word", "talk"])
def test_memory_is_bounded(name: str, kind: str) -> None:
    """Ten minutes of 38 MB: two pieces of 30 s would be 4 MB, and twice that while they are put together."""
    minute = np.zeros(60 * 16_000, np.float32)
    if kind == "speech":
        minute = talk_on(60)
    elif kind == "talk":
        minute = talk(3, 60)
    first = minute.copy()
    if kind == "one word":
        first[32_000:48_000] = talk_on(1)
    cutter = cutters()[name]
    tracemalloc.start()
    for place in range(10):
        for start in range(0, len(minute), 16_000):
            for _ in cutter.push((first if not place else minute)[start : start + 16_000].copy()):
                pass
    segments = list(cutter.finish())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert segments
    assert peak < 9_000_000
