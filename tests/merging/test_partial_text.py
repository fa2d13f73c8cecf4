"""A text as it becomes known: a beginning of the whole one, in whatever order segments are answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.oracles import ct_transformer
from helpers.oracles.run import torch_run
from overtone.merging.partial_text import PartialText
from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.segment_outputs import TranscriptAggregator
from overtone.merging.transcript import TranscriptBuilder
from overtone.models import checkpoints
from overtone.models.ct_transformer import network
from overtone.types import Segment, Span, SpeakerEmbeddings, TokenOutput

SECOND = 16_000

PIECES = ("", "a", " b", " don't", ",", ".", "好", "。", " ", *ct_transformer.CHINESE[:20], *ct_transformer.ENGLISH[:9])


class Pieces:
    """A vocabulary whose tokens are places in `PIECES`; a blank before a piece begins a word."""

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(PIECES[token] for token in tokens).strip()

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        stripped = ((place, PIECES[token].strip()) for place, token in enumerate(tokens))
        return [(text, place, place) for place, text in stripped if text]


@pytest.fixture(scope="module")
def punctuator(tmp_path_factory: pytest.TempPathFactory) -> Punctuator:
    checkpoint = checkpoints.read(ct_transformer.publish(tmp_path_factory.mktemp("marks") / "model"), name="punc")
    return Punctuator(checkpoint, torch_run(network.build(checkpoint)))


def output_of(tokens: Sequence[int]) -> TokenOutput:
    return TokenOutput(np.array(tokens, np.int32), None, np.full(len(tokens), 0.5, np.float32))


def segment_of(index: int) -> Segment:
    span = Span(index * SECOND, (index + 1) * SECOND)
    return Segment(index, span, np.zeros(0, np.float32))


def check(texts: Sequence[Sequence[int] | None], order: Sequence[int], punctuator: Punctuator | None) -> str:
    """Push all in this order: what comes is a beginning of the whole text. Returns what did not come."""
    partial, aggregator = PartialText(Pieces(), punctuator), TranscriptAggregator()
    came = ""
    for index in order:
        tokens, segment = texts[index], segment_of(index)
        output = None if tokens is None else output_of(tokens)
        if output is None:
            aggregator.add_silence(segment)
        else:
            aggregator.add(segment, output)
        came += partial.push(segment, output)
    builder = TranscriptBuilder(Pieces(), punctuator, has_punctuation=False, speakers=None, sentence_pause_s=0.8)
    whole = builder.build(aggregator.finish()).text
    assert whole.startswith(came)
    return whole.removeprefix(came)


TEXTS = st.lists(st.none() | st.lists(st.integers(0, len(PIECES) - 1), max_size=30), max_size=8)


@given(TEXTS, st.randoms())
def test_without_punctuation_all_of_the_text_comes(texts, random) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)
    assert check(texts, order, None) == ""


@given(TEXTS, st.randoms())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_punctuation_what_is_settled_comes(punctuator: Punctuator, texts, random) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)
    check(texts, order, punctuator)


def test_a_segment_waits_for_those_before_it(tmp_path: Path) -> None:
    partial = PartialText(Pieces(), None)
    assert partial.push(segment_of(2), output_of([1, 2])) == ""
    assert partial.push(segment_of(0), output_of([1])) == "a"
    assert partial.push(segment_of(1), None) == " a b"
    assert partial.push(segment_of(3), output_of([6])) == "好"
    assert partial.push(segment_of(4), output_of([])) == ""
    assert partial.push(segment_of(5), output_of([1])) == "a"


def test_outputs_of_other_models_say_nothing() -> None:
    partial = PartialText(Pieces(), None)
    voices = SpeakerEmbeddings(np.zeros((0, 2), np.int64), np.zeros((0, 4), np.float32))
    assert partial.push(segment_of(0), voices) == ""
    assert partial.push(segment_of(1), output_of([2])) == ""
    assert partial.push(segment_of(0), output_of([1])) == "a b"
