from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import ModelError
from overtone.merging.emotion import EmotionAggregator
from overtone.merging.verdict import Verdict
from overtone.models.classifier import Head, english_part
from overtone.types import EmotionOutput, Segment, Span

DIM = 5
RANDOM = np.random.default_rng(0)
HEAD = Head(
    RANDOM.standard_normal((4, DIM)).astype(np.float32),
    RANDOM.standard_normal(4).astype(np.float32),
    ("生气/angry", "unuse_1", "难过/sad", "<unk>"),
)


def output(frames: np.ndarray) -> EmotionOutput:
    return EmotionOutput(len(frames), frames.astype(np.float64).sum(axis=0), frames.astype(np.float32))


def segment(index: int, start: int, stop: int) -> Segment:
    return Segment(index, Span(start, stop), np.zeros(0, np.float32), speech=stop - start)


def merger(head: Head | None = HEAD, **kind: bool) -> EmotionAggregator:
    return EmotionAggregator(head, hop=320, dim=DIM, **kind)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_pooling_composes_however_the_file_is_cut_and_in_whatever_order(counts: list[int], order: object) -> None:
    frames = np.random.default_rng(sum(counts)).standard_normal((sum(counts), DIM)).astype(np.float32)
    edges = np.cumsum([0, *counts])
    parts = [(segment(i, a * 320, b * 320), output(frames[a:b])) for i, (a, b) in enumerate(itertools.pairwise(edges))]
    order.shuffle(parts)  # type: ignore[attr-defined]
    whole = merger(want_frames=True)
    for part in parts:
        whole.add(*part)
    merged = whole.finish()
    mean = frames.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(merged.embedding, mean, atol=1e-6)
    assert merged.pooled is not None
    assert list(merged.pooled.scores.values()) == pytest.approx(HEAD.scores(mean).tolist(), abs=1e-9)
    assert merged.pooled.score == merged.pooled.scores[merged.pooled.label] == max(merged.pooled.scores.values())
    assert sum(entry.speech_s for entry in merged.segments) == pytest.approx(0.02 * sum(counts))
    assert [s.span.start for s in merged.segments] == [a * 320 for a in edges[:-1]]
    assert merged.frames is not None
    np.testing.assert_array_equal(merged.frames.embeddings.numpy(), frames)
    np.testing.assert_array_equal(merged.frames.starts.numpy(), np.arange(len(frames)) * 320)
    np.testing.assert_allclose(merged.frames.scores.numpy(), HEAD.scores(frames), atol=1e-6)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_verdict_is_the_same_to_the_bit_in_whatever_order_outputs_come(counts: list[int], order: object) -> None:
    frames = np.random.default_rng(sum(counts)).standard_normal((sum(counts), DIM)).astype(np.float32)
    edges = np.cumsum([0, *counts])
    parts = [(segment(i, a * 320, b * 320), output(frames[a:b])) for i, (a, b) in enumerate(itertools.pairwise(edges))]
    verdicts = []
    for _ in range(2):
        whole = merger()
        for part in parts:
            whole.add(*part)
        verdicts.append(whole.finish().verdict)
        order.shuffle(parts)  # type: ignore[attr-defined]
    assert verdicts[0] == verdicts[1]


def test_of_one_segment_with_speech_verdict_and_mean_frame_are_the_same_to_the_bit() -> None:
    whole = merger()
    whole.add_silence(Segment(0, Span(0, 8_000), np.zeros(0, np.float32), silent=True))
    # Less speech than its length, which says nothing about what it counts.
    spoken = Segment(1, Span(8_000, 24_000), np.zeros(0, np.float32), speech=9_000)
    whole.add(spoken, output(RANDOM.standard_normal((49, DIM))))
    merged = whole.finish()
    verdict, pooled = merged.verdict, merged.pooled
    assert pooled is not None
    assert (verdict.label, verdict.score, verdict.scores) == (pooled.label, pooled.score, pooled.scores)
    assert verdict.shares == {label: float(label == pooled.label) for label in HEAD.labels()}
    assert [entry.speech_s for entry in merged.segments] == [0.0, 9_000 / 16_000]


def test_the_head_leaves_unused_rows_out_as_funasr_does() -> None:
    embedding = RANDOM.standard_normal(DIM)
    logits = HEAD.weight @ embedding + HEAD.bias
    logits[1] = -np.inf
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    np.testing.assert_allclose(HEAD.scores(embedding), expected[[0, 2, 3]], atol=1e-6)
    assert HEAD.labels() == ("angry", "sad", "unknown")
    assert HEAD.labels(as_published=True) == ("生气/angry", "难过/sad", "<unk>")


@pytest.mark.parametrize(("label", "part"), [("生气/angry", "angry"), ("happy", "happy"), ("<unk>", "unknown")])
def test_records_use_the_english_part(label: str, part: str) -> None:
    assert english_part(label) == part


@given(st.lists(st.floats(-1e3, 1e3), min_size=DIM, max_size=DIM))
def test_scores_are_a_distribution(embedding: list[float]) -> None:
    scores = HEAD.scores(np.array(embedding))
    assert scores.sum() == pytest.approx(1)
    assert (scores >= 0).all()


def test_values_that_are_not_numbers_are_the_models_fault() -> None:
    with pytest.raises(ModelError, match="not numbers"):
        HEAD.scores(np.full(DIM, np.nan))


def test_only_silence_is_silence_and_no_guess() -> None:
    silent = merger()
    silent.add_silence(Segment(0, Span(0, 16_000), np.zeros(0, np.float32), silent=True))
    merged = silent.finish()
    assert merged.verdict == Verdict("silence", None, None, None)
    assert (merged.pooled, merged.embedding) == (None, None)
    assert merged.segments[0].label == "silence"


def test_without_classes_there_are_embeddings_and_no_label() -> None:
    plain = merger(None)
    plain.add(segment(0, 0, 640), output(np.ones((2, DIM))))
    merged = plain.finish()
    assert merged.verdict == Verdict(None, None, None, None)
    assert merged.pooled is None
    np.testing.assert_array_equal(merged.embedding, np.ones(DIM, np.float32))
