"""Fields of OpenAI's form: what they ask for, what is left out, what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import UsageError
from overtone.models.paraformer.hotwords import LONGEST, MOST, check_hotwords
from overtone.options.transcription import TranscribeOptions
from overtone.server.api import openai_params
from overtone.server.api.openai_chunking import chunking_warnings
from overtone.server.api.openai_format import _letters
from overtone.server.api.openai_params import OpenAIParams, ParameterError
from overtone.server.uploads.form import CLIPPED_BYTES, PROMPT

WHOLE = "chunking_strategy"


def of(monkeypatch: pytest.MonkeyPatch, supported: set[str] = {"hotwords"}, **fields: str) -> OpenAIParams:  # noqa: B006
    """A request to a service whose recognizer takes such options."""
    monkeypatch.setattr(openai_params, "supported_options", lambda _: frozenset(supported))
    runtime = SimpleNamespace(model=SimpleNamespace(name="made-up"))
    transcriber: Any = SimpleNamespace(runtime=runtime, options=TranscribeOptions())
    return OpenAIParams.of(fields, transcriber, None)


@pytest.mark.parametrize(
    ("prompt", "heard", "warnings"),
    [
        ("Overtone SeACo", "Overtone SeACo", 0),
        ("The meeting, of (Overtone): don't!", "The meeting of Overtone don't", 0),
        ("— … !", None, 1),
        (f"Overtone {'x' * (LONGEST + 1)}", "Overtone", 1),
        ("魔搭，阿里 「通义」", "魔搭，阿里 通义", 0),
        ("", None, 0),
        ("a \x00 b", "a b", 1),
    ],
)
def test_a_prompt_is_words_to_listen_for(monkeypatch, prompt: str, heard: str | None, warnings: int) -> None:
    asked = of(monkeypatch, prompt=prompt)
    assert asked.call.options.get("hotwords", "") == (heard or "")
    assert len(asked.warnings) == warnings


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_no_prompt_fails(prompt: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        asked = of(patch, prompt=prompt)
    words = tuple(asked.call.options.get("hotwords", "").split())
    check_hotwords(words)
    TranscribeOptions().for_call(**asked.call.options)


def test_more_words_than_can_be_listened_for_are_left_out_and_told(monkeypatch) -> None:
    asked = of(monkeypatch, **{"keywords[]": "\n".join(f"w{at}" for at in range(MOST + 7))})
    assert len(asked.call.options["hotwords"].split()) == MOST
    assert asked.warnings[0].startswith("7 of the words")


def test_a_prompt_that_was_clipped_is_told(monkeypatch) -> None:
    asked = of(monkeypatch, prompt="word " * (CLIPPED_BYTES[PROMPT] // 5) + "word"[: CLIPPED_BYTES[PROMPT] % 5])
    assert asked.warnings == (f"prompt was cut at {CLIPPED_BYTES[PROMPT]} bytes.",)


def test_what_is_taken_and_changes_nothing_is_told(monkeypatch) -> None:
    names = ("languages[]", "known_speaker_names[]", "known_speaker_references[]")
    asked = of(monkeypatch, **dict.fromkeys(names, "x"))
    assert [text.split()[0] + "[]" for text in asked.warnings] == list(names)


@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({}, 0),
        ({WHOLE: "auto"}, 0),
        ({WHOLE: ""}, 0),
        ({WHOLE: '{"type": "server_vad"}'}, 0),
        ({WHOLE: '{"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 200}'}, 1),
        ({f"{WHOLE}[type]": "server_vad"}, 0),
        ({f"{WHOLE}[type]": "server_vad", f"{WHOLE}[threshold]": "1", f"{WHOLE}[prefix_padding_ms]": "300"}, 1),
    ],
)
def test_a_strategy_that_is_not_followed_is_told(fields: dict[str, str], warnings: int) -> None:
    assert len(chunking_warnings(fields, cut=True)) == warnings
    assert len(chunking_warnings(fields, cut=False)) == warnings + any(fields.values())


@pytest.mark.parametrize(
    "fields",
    [
        {WHOLE: "none"},
        {WHOLE: "5"},
        {WHOLE: "[]"},
        {WHOLE: "{"},
        {WHOLE: '{"type": "auto"}'},
        {WHOLE: '{"threshold": 0.5}'},
        {WHOLE: '{"type": "server_vad", "eagerness": 1}'},
        {WHOLE: '{"type": "server_vad", "threshold": 1.5}'},
        {WHOLE: '{"type": "server_vad", "threshold": true}'},
        {WHOLE: '{"type": "server_vad", "threshold": []}'},
        {WHOLE: '{"type": "server_vad", "silence_duration_ms": -1}'},
        {WHOLE: '{"type": "server_vad", "silence_duration_ms": 0.5}'},
        {WHOLE: "[" * 4000},
        {WHOLE: "auto", f"{WHOLE}[type]": "server_vad"},
        {f"{WHOLE}[threshold]": "0.5"},
        {f"{WHOLE}[type]": "server_vad", f"{WHOLE}[threshold]": "nan"},
        {f"{WHOLE}[type]": "server_vad", f"{WHOLE}[prefix_padding_ms]": "1e999"},
        {f"{WHOLE}[type]": "server_vad", f"{WHOLE}[prefix_padding_ms]": "soon"},
        {f"{WHOLE}[type]": "server_vad", f"{WHOLE}[prefix_padding_ms]": "9" * 4000},
    ],
)
def test_a_strategy_that_cannot_be_is_refused(fields: dict[str, str], monkeypatch) -> None:
    with pytest.raises(UsageError, match=WHOLE):
        chunking_warnings(fields, cut=True)
    with pytest.raises(ParameterError) as told:
        of(monkeypatch, **fields)
    assert told.value.param == WHOLE


@given(st.text(max_size=60) | st.from_regex(r'\{"type": ?"server_vad", ?"threshold": ?.{0,9}\}'))
def test_any_text_is_a_strategy_or_refused(text: str) -> None:
    try:
        warnings = chunking_warnings({WHOLE: text}, cut=True)
    except UsageError:
        return
    assert all(WHOLE in warning for warning in warnings)


def test_speakers_are_called_by_letters() -> None:
    assert [_letters(at) for at in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"),
    ]
