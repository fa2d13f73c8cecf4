"""Results as notebooks show them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from helpers.results import failed, failed_transcript, result, segment, sentence, transcript
from overtone import Emotion, InputError, Result
from overtone.output.plots.colors import color_of

VOID = {"br", "img", "meta", "hr"}


class Page(HTMLParser):
    """Elements and text of a piece of HTML; an error where it is not closed as it was opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(whole: Result) -> Page:
    return Page(whole._repr_html_())


def test_an_emotion_is_its_answer_over_its_timeline() -> None:
    shown = page(result())
    text = "".join(shown.texts)
    for part in ("call.mp3", "angry 0.60", "3.0 s", "tiny fp32 cpu", "0:00.0 – 0:01.0 angry", "silence", "happy"):
        assert part in text
    assert [(bar["x"], bar["width"], bar["fill"]) for bar in shown.of("rect")] == [
        ("0.00", "333.33", color_of("angry")),
        ("333.33", "333.33", color_of("silence")),
        ("666.67", "333.33", color_of("happy")),
    ]


def test_a_transcript_is_a_row_for_each_sentence() -> None:
    shown = page(transcript())
    text = "".join(shown.texts)
    assert len(shown.of("tr")) == 3
    for part in ("0:00.5 – 0:02.5", "Speaker 0", "neutral", "Hello, who is it?", "Speaker 1", "happy", "是我。"):
        assert part in text
    assert "is the whole text" in "".join(page(transcript(sentences=(), text="is the whole text")).texts)


@pytest.mark.parametrize("whole", [failed(), failed_transcript()], ids=["emotion", "transcript"])
def test_a_failed_input_is_its_error(whole: Result) -> None:
    assert "not_audio: broken.wav: not audio" in "".join(page(whole).texts)


EVIL = '<script>alert("1")</script>&"\'\udcff'


@pytest.mark.parametrize(
    "whole",
    [
        result(EVIL, label=EVIL, model=EVIL, segments=[segment(0, 16_000, (0.8, 0.1), (EVIL, "a"))]),
        failed(EVIL, error=InputError(EVIL, code=EVIL)),
        transcript(EVIL, text=EVIL, model=EVIL, sentences=[sentence(0, 1, EVIL, emotion=Emotion(EVIL), speaker=0)]),
        transcript(EVIL, text=EVIL, sentences=()),
    ],
    ids=["emotion", "failed", "transcript", "no sentences"],
)
def test_all_text_is_escaped(whole: Result) -> None:
    shown = page(whole)
    assert {tag for tag, _ in shown.elements} <= {"div", "b", "span", "svg", "rect", "title", "table", "tr", "td"}
    assert "script>" in "".join(shown.texts)  # as text
    whole._repr_html_().encode()  # no lone surrogates


def test_it_needs_nothing_else_and_stays_small() -> None:
    many: list[Any] = [segment(at * 16_000, (at + 1) * 16_000, (0.8, 0.1, 0.1)) for at in range(20_000)]
    many[1::2] = [segment(at * 16_000, (at + 1) * 16_000, (0.1, 0.8, 0.1)) for at in range(1, 20_000, 2)]
    sentences = [sentence(at, at + 1, f"Sentence {at}.") for at in range(1234)]
    for whole in (result(duration=20_000.0, segments=many), transcript(duration=1234.0, sentences=sentences)):
        html = whole._repr_html_()
        assert len(html) < 100_000
        assert not re.search(r"https?:|src=|href=|<script|<link|@import|url\(", html)
    assert "… and 1184 more sentences" in html


def test_a_source_without_anything_is_still_shown() -> None:
    assert page(result(duration=0.0, segments=())).of("svg") == []
    assert page(result(label=None, score=None, scores=None, segments=())).of("svg") == []
