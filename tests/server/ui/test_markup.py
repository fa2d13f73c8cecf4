"""Tables and headings: nothing of a user becomes markup, and everything is there to be read."""

from __future__ import annotations

import numpy as np

from helpers.results import result
from helpers.server.page import HOSTILE, a_run, around, done
from overtone.errors import InputError
from overtone.results import SILENCE
from overtone.server.ui.kept import Kept
from overtone.server.ui.markup import details, files, heading, note, verdict
from overtone.server.ui.run import Row, Verdict


def test_nothing_that_a_user_named_becomes_markup() -> None:
    kept = Kept.of(HOSTILE, "segment", [result(HOSTILE, label="<b>x</b>", scores={"<b>x</b>": 1.0})])
    failed = Row(HOSTILE, "failed", InputError(f"{HOSTILE}: odd {HOSTILE}", code="odd"))
    for made in (
        files(a_run(done(HOSTILE), failed), around()),
        heading("en", HOSTILE, HOSTILE),
        note(HOSTILE),
        verdict(kept, kept.results[0], "en"),
        details(kept, kept.results[0], HOSTILE, "en"),
    ):
        assert "<img" not in made
        assert "<b>x" not in made


def test_the_table_says_how_far_each_file_is() -> None:
    rows = (
        Row("a"), Row("b", "waiting"), Row("c", "running"), done("d"), Row("f", "stopped"),
        Row("e", "failed", InputError("e: nothing", code="not_audio")),
    )  # fmt: skip
    made = files(a_run(*rows), around(wait=(312.0, 20.4), shown=(3, 0)))
    for told in (
        "1 of 6 done, 1 failed",
        "Uploading",
        "Waiting: 5 min of audio ahead, about 20 s",
        "Working",
        "Happy",
        "It is no audio",
        "Stopped",
    ):
        assert told in made
    assert made.count('aria-pressed="true"') == 1
    assert 'data-wanted="6"' in made
    assert "all.json" not in made, "one result is no reason for a download of all"
    assert "前面有 5 分钟 音频，约 20 秒" in files(a_run(*rows), around(language="zh", wait=(312.0, 20.4)))


def test_channels_and_silence_are_told() -> None:
    made = files(a_run(done("a", Verdict(0, "happy", 0.7), Verdict(1, SILENCE, None)), done("b")), around())
    assert "channel 1: Happy" in made
    assert "channel 2: Nobody speaks in it" in made
    assert 'data-show="0.1"' in made
    assert "page/ticket/results/all.srt" in made


def test_a_result_of_several_segments_says_what_share_of_the_speech_is_what() -> None:
    shares = {"angry": 0.42, "happy": 0.271, "neutral": 0.2, "sad": 0.107, "fearful": 0.002}
    kept = Kept.of("a", "segment", [result(shares=shares, speech_s=35.2)])
    made = verdict(kept, kept.results[0], "en")
    assert "<b>60%</b>" in made
    assert "42% Angry, 27% Happy, 20% Neutral, 11% others of 35 s of speech" in made
    assert "35 秒语音中：42% 生气、27% 开心、20% 中立、11% 其他" in verdict(kept, kept.results[0], "zh")
    for one in (result(segments=result().segments[:1]), result(label=SILENCE, shares=None, segments=[])):
        assert "of speech" not in verdict(Kept.of("a", "segment", [one]), one, "en")
    judged = result(shares=shares, speech_s=0.0)
    assert "11% others</p>" in verdict(kept, judged, "en"), "nobody speaks in it"


def test_the_timeline_is_there_for_those_who_cannot_see_the_picture() -> None:
    kept = Kept.of("a", "segment", [result()])
    made = details(kept, kept.results[0], "base/0", "en")
    assert "<td>0:00.0</td><td>0:01.0</td><td>Angry</td><td>83%</td>" in made
    assert 'href="base/0.npz"' not in made, "it has no embedding"
    assert 'href="base/0.csv"' in made
    whole = Kept.of("a", "utterance", [result(embedding=np.ones(4, np.float32))])
    made = details(whole, whole.results[0], "base/0", "en")
    assert "<details>" not in made
    assert 'href="base/0.npz"' in made
