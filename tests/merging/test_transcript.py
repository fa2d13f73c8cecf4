"""From what was heard to what was said: words, sentences, moods, tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.merging.segment_outputs import TranscriptAggregator
from overtone.merging.sentence_emotion import SentenceEmotions
from overtone.merging.sentences import by_pause, joined, numbered, split_by_own_punctuation, split_by_punctuation
from overtone.merging.words import RecognizedSegment, WordTable
from overtone.models.classifier import Head
from overtone.models.sense_voice.tags import parse_tags
from overtone.types import EmotionOutput, Segment, Span, SpeakerEmbeddings, TokenOutput

SECOND = 16_000


class Letters:
    """A vocabulary whose tokens are places in a text; a blank before a piece begins a word."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(self.pieces[token] for token in tokens).strip()

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        return [(self.pieces[token].strip(), place, place) for place, token in enumerate(tokens)]


def heard(*segments: Sequence[int], seconds: float = 1.0) -> list[RecognizedSegment]:
    """Segments of a second, their tokens 100 ms each."""
    found = []
    for index, tokens in enumerate(segments):
        times = np.array([[100 * place, 100 * place + 100] for place in range(len(tokens))], np.int32).reshape(-1, 2)
        answer = TokenOutput(np.array(tokens, np.int32), times, np.full(len(tokens), 0.5, np.float32))
        start = round(index * seconds * SECOND)
        found.append(RecognizedSegment(Span(start, start + SECOND), answer))
    return found


def test_words_have_the_times_of_their_tokens_in_the_source() -> None:
    table = WordTable(heard([0, 1], [2]), Letters("a", " b", " c"))
    assert [(word.text, word.start, word.end, word.confidence) for word in table.words(0, 3)] == [
        ("a", 0.0, 0.1, 0.5),
        ("b", 0.1, 0.2, 0.5),
        ("c", 1.0, 1.1, 0.5),
    ]
    assert table.text(0, 3) == "a b c"
    assert table.text(1, 2) == "b"


def test_words_without_times_have_those_of_their_segment() -> None:
    plain = TokenOutput(np.array([0, 1], np.int32), None, np.ones(2, np.float32))
    table = WordTable([RecognizedSegment(Span(SECOND, 2 * SECOND), plain)], Letters("a", " b"))
    assert [word.start for word in table.words(0, 2)] == [None, None]
    assert table.span_ms(0, 1) == (1000, 2000)


def test_a_mark_in_the_midst_of_a_number_ends_no_sentence() -> None:
    pieces = Letters(" it", " is", " 3", ".", "5", ".", " yes", "。", "好")
    table = WordTable(heard(range(9)), pieces)
    assert split_by_own_punctuation(table).tolist() == [[0, 6], [6, 8], [8, 9]]


@given(st.lists(st.sampled_from(["", "，", "。", "？", "、"]), max_size=30))
def test_every_word_is_in_one_sentence(marks: list[str]) -> None:
    ranges = split_by_punctuation(numbered(marks)).tolist()
    assert [word for start, stop in ranges for word in range(start, stop)] == list(range(len(marks)))
    assert all(stop > start for start, stop in ranges)
    assert [stop - 1 for _, stop in ranges[:-1]] == [
        place for place, mark in enumerate(marks[:-1]) if mark in ("。", "？")
    ][: len(ranges) - 1]


def test_without_marks_a_pause_ends_a_sentence() -> None:
    table = WordTable(heard([0], [1, 2]), Letters("a", " b", " c"))
    assert by_pause(table).tolist() == [[0, 1], [1, 3]]
    assert by_pause(WordTable([], Letters())).tolist() == []


def test_texts_are_joined_as_their_scripts_are() -> None:
    assert joined(["你好。", "再见。"]) == "你好。再见。"
    assert joined(["Yes.", "No."]) == "Yes. No."
    assert joined(["", "a"]) == "a"


def test_tags_are_read_in_any_order() -> None:
    tags = parse_tags(["<|Laughter|>", "<|yue|>", "<|SAD|>", "<|woitn|>"])
    assert (tags.language, tags.emotion, tags.event) == ("yue", "sad", "Laughter")
    nothing = parse_tags(["<|nospeech|>", "<|EMO_UNKNOWN|>", "<|Speech|>", "<|withitn|>"])
    assert (nothing.language, nothing.emotion, nothing.event) == (None, None, None)


def moods() -> SentenceEmotions:
    return SentenceEmotions(Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), ("a", "b", "c")), hop=1600)


def test_a_mood_is_of_the_frames_that_begin_in_the_sentence() -> None:
    collected = moods()
    frames = np.zeros((20, 3), np.float32)
    frames[:10, 0], frames[10:, 1] = 4, 4
    # The second segment's answer comes first.
    collected.add(1, Span(SECOND, 2 * SECOND), EmotionOutput(10, frames[10:].sum(0, dtype=float), frames[10:]))
    collected.add(0, Span(0, SECOND), EmotionOutput(10, frames[:10].sum(0, dtype=float), frames[:10]))
    scores = collected.scores(np.array([[0, 1000], [1000, 2000], [1950, 1990]], np.int32))
    assert scores.argmax(axis=1).tolist() == [0, 1, 1]
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_where_nothing_was_said_there_is_no_mood() -> None:
    collected = moods()
    collected.add(0, Span(0, SECOND), EmotionOutput(1, np.zeros(3), np.zeros((1, 3), np.float32)))
    assert collected.scores(np.zeros((0, 2), np.int32)).shape == (0, 3)
    assert np.isnan(moods().scores(np.array([[0, 10]], np.int32))).all()


def test_answers_are_put_in_order_whatever_order_they_come_in() -> None:
    aggregator = TranscriptAggregator(speakers=True)
    spans = np.array([[0, 24_000]], np.int32)
    for index in (2, 0):
        span = Span(index * SECOND, (index + 1) * SECOND)
        aggregator.add(index, span, SpeakerEmbeddings(np.full((1, 2), index, np.float32), spans))
        tokens = np.array([index], np.int32)
        aggregator.add(index, span, TokenOutput(tokens, None, np.ones(1, np.float32)))
    aggregator.add_silence(Segment(1, Span(SECOND, 2 * SECOND), np.zeros(0, np.float32), silent=True))
    outputs = aggregator.finish()
    assert [int(segment.answer.tokens[0]) for segment in outputs.recognized] == [0, 2]
    assert outputs.windows is not None
    assert outputs.windows[:, 0].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("speakers", [True, False])
def test_nothing_heard_is_nothing_said(speakers: bool) -> None:
    outputs = TranscriptAggregator(speakers=speakers).finish()
    assert len(outputs.recognized) == 0
    assert (outputs.windows is not None) is speakers
