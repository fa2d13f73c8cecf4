"""Options as typed keyword arguments: those that there are, and no others."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from overtone import EmotionRecognizer, Transcriber
from overtone.options import keywords
from overtone.options.emotion import PER_CALL, Options
from overtone.options.loading import load
from overtone.options.transcription import TRANSCRIBE_PER_CALL, TranscribeOptions

KINDS = [
    (keywords.EmotionKeywords, keywords.EmotionCallKeywords, Options, PER_CALL),
    (keywords.TranscribeKeywords, keywords.TranscribeCallKeywords, TranscribeOptions, TRANSCRIBE_PER_CALL),
]

kinds = pytest.mark.parametrize(("made", "called", "options", "per_call"), KINDS, ids=["emotion", "transcription"])


@kinds
def test_they_are_the_options_with_their_types(made: Any, called: Any, options: Any, per_call: tuple[str, ...]) -> None:
    fields = get_type_hints(options)
    own = {**get_type_hints(made), "model": str}
    assert own.pop("profile") == get_type_hints(load)["profile"]
    assert own == {name: fields[name] for name in options.names()}
    assert get_type_hints(called) == {name: fields[name] for name in per_call}
    assert made.__required_keys__ == called.__required_keys__ == frozenset()


@pytest.mark.parametrize(
    ("kind", "made", "called"),
    [
        (EmotionRecognizer, "EmotionKeywords", "EmotionCallKeywords"),
        (Transcriber, "TranscribeKeywords", "TranscribeCallKeywords"),
    ],
)
def test_a_recognizer_is_made_with_them(kind: type[Any], made: str, called: str) -> None:
    def named(function: Any) -> str:
        return str(inspect.signature(function).parameters["options"].annotation)

    assert named(kind.__init__) == f"Unpack[{made}]"
    if kind is EmotionRecognizer:
        assert named(kind.live) == f"Unpack[{called}]"
