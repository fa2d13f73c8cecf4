"""Transcripts on the page: who spoke when, and in what mood."""

from __future__ import annotations

from helpers.server.page import HOSTILE, a_run, a_transcript, around, done
from overtone.results import Sentence
from overtone.server.ui import spoken
from overtone.server.ui.kept import Kept
from overtone.server.ui.markup import files
from overtone.server.ui.run import Verdict


def test_a_transcript_says_who_spoke_when_and_in_what_mood() -> None:
    told = a_transcript(speakers=2)
    kept = Kept.of(HOSTILE, "word", [told])
    for language, words in (
        ("en", ("Speaker 0", "Speaker 1", "Happy", "70%", "1:05.0", "好的。", "Chinese", "2 speakers")),
        ("zh", ("说话人 0", "说话人 1", "开心", "70%", "1:05.0", "好的。", "中文", "2 位说话人")),
    ):
        made = spoken.heading(kept, told, language) + spoken.transcript(kept, told, "base/0", language)
        assert all(word in made for word in words), made
        assert "<img" not in made
        assert all(f'href="base/0.{kind}"' in made for kind in ("jsonl", "csv", "srt", "vtt", "txt"))
    assert "<img" not in files(a_run(done("a", Verdict.of(told))), around())


def test_a_transcript_without_words_says_so() -> None:
    told = a_transcript(sentences=(), text="", language=None)
    kept = Kept.of("a", "word", [told])
    assert "Nobody speaks in it" in spoken.transcript(kept, told, "base/0", "en")
    assert "Nobody speaks in it" in files(a_run(done("a", Verdict.of(told))), around())


def test_a_long_transcript_is_on_the_page_as_far_as_it_is_read() -> None:
    told = a_transcript(sentences=[Sentence(at, at + 1.0, f"Sentence {at}.") for at in range(1000)])
    made = spoken.transcript(Kept.of("a", "word", [told]), told, "base/0", "en")
    assert made.count("<li>") == spoken.MOST_SENTENCES
    assert "and 500 more" in made
