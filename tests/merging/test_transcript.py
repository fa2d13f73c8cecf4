"""From what was heard to what was said: words, sentences, moods, tags."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.merging.punctuation.restoration import Punctuated
from overtone.merging.segment_outputs import SegmentOutputs, TranscriptAggregator
from overtone.merging.sentence_breaks import (
    breaks_after_marks,
    breaks_after_own_marks,
    breaks_at_pauses,
    breaks_at_segments,
    ranges_of,
)
from overtone.merging.sentence_emotion import SentenceEmotions
from overtone.merging.sentences import joined, numbered
from overtone.merging.transcript import TranscriptBuilder
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


def test_a_transcript_takes_few_bytes_for_each_word_and_no_objects() -> None:
    letters = Letters("a", "b")

    def held_and_peak(segments: int) -> tuple[float, float]:
        tokens, times = np.ones(100, np.int32), np.arange(200, dtype=np.int32).reshape(-1, 2)
        said = TokenOutput(tokens, times, np.ones(100, np.float32))
        recognized = [RecognizedSegment(Span(at * 160_000, (at + 1) * 160_000), said) for at in range(segments)]
        tracemalloc.start()
        try:
            table = WordTable(recognized, letters)
            held = tracemalloc.get_traced_memory()[0]
            for look in (lambda: breaks_after_own_marks(table), lambda: breaks_at_pauses(table, 800)):
                look()
            return held / len(table), tracemalloc.get_traced_memory()[1] / len(table)
        finally:
            tracemalloc.stop()

    held_and_peak(1)  # what is made once
    held, peak = held_and_peak(200)
    # Segment, two tokens, two times, two times when spoken, confidence: 4 bytes each; and whether it is spoken.
    assert held < 8 * 4 + 1 + 4
    assert peak < 80  # a list of numbers would be 40 more


@given(st.lists(st.integers(0, 4), max_size=6), st.data())
def test_texts_from_any_word_to_any_word_are_those(counts: list[int], data: st.DataObject) -> None:
    segments = [[(7 * at + place) % 3 for place in range(count)] for at, count in enumerate(counts)]
    table = WordTable(heard(*(segment for segment in segments if segment)), Letters("a", "b", "c"))
    every = [word.text for word in table.words(0, len(table))]
    start = data.draw(st.integers(0, len(table)))
    stop = data.draw(st.integers(start, len(table)))
    assert list(table.texts(start, stop)) == every[start:stop]
    assert len(every) == sum(counts)


def test_words_without_times_have_those_of_their_segment() -> None:
    plain = TokenOutput(np.array([0, 1], np.int32), None, np.ones(2, np.float32))
    table = WordTable([RecognizedSegment(Span(SECOND, 2 * SECOND), plain)], Letters("a", " b"))
    assert [word.start for word in table.words(0, 2)] == [None, None]
    assert table.span_ms(0, 1) == (1000, 2000)


def test_a_mark_in_the_midst_of_a_number_ends_no_sentence() -> None:
    pieces = Letters(" it", " is", " 3", ".", "5", ".", " yes", "。", "好")
    table = WordTable(heard(range(9)), pieces)
    assert ranges_of(breaks_at_segments(table) | breaks_after_own_marks(table)).tolist() == [[0, 6], [6, 8], [8, 9]]


@given(st.lists(st.sampled_from(["", "，", "。", "？", "、"]), max_size=30))
def test_every_word_is_in_one_sentence(marks: list[str]) -> None:
    ranges = ranges_of(breaks_after_marks(numbered(marks))).tolist()
    assert [word for start, stop in ranges for word in range(start, stop)] == list(range(len(marks)))
    assert all(stop > start for start, stop in ranges)
    assert [stop - 1 for _, stop in ranges[:-1]] == [
        place for place, mark in enumerate(marks[:-1]) if mark in ("。", "？")
    ][: len(ranges) - 1]


def test_without_marks_a_segment_is_a_sentence() -> None:
    table = WordTable(heard([0], [1, 2]), Letters("a", " b", " c"))
    assert ranges_of(breaks_at_segments(table)).tolist() == [[0, 1], [1, 3]]
    assert ranges_of(breaks_at_segments(WordTable([], Letters()))).tolist() == []


class Marks:
    """A punctuation model that has its answer ready: the text, and the mark after each word."""

    def __init__(self, text: str, marks: Sequence[str]) -> None:
        self._answer = Punctuated(text, list(marks))

    def stream(self) -> Marks:
        return self

    def push(self, words: Sequence[str]) -> Punctuated:
        return Punctuated("", [])

    def finish(self) -> Punctuated:
        return self._answer


def built(segments: list[RecognizedSegment], vocabulary: Letters, punctuator: object = None, **how: Any) -> Any:
    options = {"has_punctuation": False, "speakers": None, "sentence_pause_s": 0.8} | how
    builder = TranscriptBuilder(vocabulary, punctuator, **options)  # type: ignore[arg-type]
    return builder.build(SegmentOutputs(segments, None, None, None))


def test_a_pause_ends_a_sentence_and_adds_no_mark() -> None:
    pieces = Letters(" good", " day", " to", " you", " thanks")
    said = heard([0, 1], [2, 3, 4], seconds=2.0)
    model = Marks("Good day to you. Thanks.", ["", "", "", "。", "。"])
    assert [one.text for one in built(said, pieces, model).sentences] == ["Good day", "to you.", "Thanks."]
    longer = built(said, pieces, model, sentence_pause_s=2.5)
    assert [one.text for one in longer.sentences] == ["Good day to you.", "Thanks."]
    assert longer.text == "Good day to you. Thanks."


def test_texts_of_sentences_are_the_text() -> None:
    chinese = Letters("你", "好", "。", "再", "见", " bye", "!")
    said = heard([0, 1, 2, 3], [4, 5, 6], seconds=2.0)
    for transcript in (
        built(said, chinese, has_punctuation=True),
        built(said, chinese),
        built(heard([0, 1, 3], [4], seconds=2.0), chinese, Marks("你好，再见。", ["", "，", "", "。"])),
    ):
        assert "".join(one.text for one in transcript.sentences).replace(" ", "") == transcript.text.replace(" ", "")
        assert len(transcript.sentences) > 1


def voices(*numbers: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of 1.5 s, one every 0.75 s, in each of which a voice is heard, and its embedding."""
    windows = np.array([[0.75 * at, 0.75 * at + 1.5] for at in range(len(numbers))])
    noise = np.random.default_rng(0).normal(size=(len(numbers), 16))
    return windows, (np.eye(16)[list(numbers)] * 10 + 0.1 * noise).astype(np.float32)


def test_another_voice_ends_a_sentence_and_words_keep_their_own() -> None:
    # One speaks to about 15 s, the other from there on; no mark, no pause.
    times = np.array([[500 * at, 500 * at + 500] for at in range(60)], np.int32)
    answer = TokenOutput(np.arange(60, dtype=np.int32), times, np.ones(60, np.float32))
    segment = RecognizedSegment(Span(0, 30 * SECOND), answer)
    windows, embeddings = voices(*[0] * 19, *[1] * 20)
    builder = TranscriptBuilder(
        Letters(*(f" w{at}" for at in range(60))), None, has_punctuation=False, speakers=2, sentence_pause_s=0.8
    )
    found = builder.build(SegmentOutputs([segment], windows, embeddings, None))
    assert [one.speaker for one in found.sentences] == [0, 1]
    assert found.speakers == 2
    assert abs(found.sentences[0].end - 14.6) < 0.75
    assert [{word.speaker for word in one.words} for one in found.sentences] == [{0}, {1}]


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
        segment = Segment(index, Span(index * SECOND, (index + 1) * SECOND), np.zeros(0, np.float32), speech=SECOND)
        aggregator.add(segment, SpeakerEmbeddings(np.full((1, 2), index, np.float32), spans))
        tokens = np.array([index], np.int32)
        aggregator.add(segment, TokenOutput(tokens, None, np.ones(1, np.float32)))
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
