"""The page without a browser: texts, pictures, tables, what is kept, who is let in, and what happens to files."""

from __future__ import annotations

import asyncio
import dataclasses
import html
import importlib.util
import io
import json
import os
import re
import string
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.clips import EXAMPLES
from helpers.oracles import sense_voice
from helpers.results import LABELS, frames, result, segment
from helpers.server.loops import Clock, run, settle, until
from helpers.server.running import Running, serving
from helpers.server.sounds import clip
from overtone import EmotionRecognizer
from overtone.errors import InputError, RefusedError, UsageError
from overtone.merging.timeline import Timeline
from overtone.options.emotion import Options
from overtone.output.records import to_record
from overtone.server.api.params import InferenceRequest
from overtone.server.auth import Keyring, add_key, remove_key
from overtone.server.settings import Settings
from overtone.server.state import Server, load_models
from overtone.server.ui import mount, spoken
from overtone.server.ui.asked import Facts, options_given, place_of
from overtone.server.ui.door import Door
from overtone.server.ui.downloads import make, sent
from overtone.server.ui.errors import TOLD, Limits, explained, lost
from overtone.server.ui.gate import MOST_BYTES, let_through
from overtone.server.ui.kept import Kept, Shelf
from overtone.server.ui.markup import Around, details, files, heading, note, verdict
from overtone.server.ui.picture import Look, figure
from overtone.server.ui.run import AT_ONCE, SENT_AHEAD, Row, Run, Verdict
from overtone.server.ui.sessions import KEPT_S, LEFT_S, Session, Sessions
from overtone.server.ui.texts import EMOTIONS, LANGUAGES, TEXTS, emotion, language_of, moment, percent, span
from overtone.server.uploads import Spool, Upload, UploadLimits
from overtone.types import SILENCE, Emotion, EmotionResult, Sentence, Span, Timings, Transcript, Word

LIMITS = Limits(256 << 20, 900.0, 100)

HOSTILE = "<img src=x onerror=alert(1)>\"'&${1}{{2}}.wav"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool that has to be empty again when a test is over."""
    with Spool(tmp_path / "spool", UploadLimits(1 << 20, 10, 5.0, 0, 4 << 20)) as made:
        yield made


def left(spool: Spool) -> list[str]:
    return [path.name for path in spool.path.glob("upload-*")]


# Texts


def test_every_text_is_in_both_languages_and_takes_the_same_values() -> None:
    for name, texts in TEXTS.items():
        english, chinese = ({field for _, field, *_ in string.Formatter().parse(one) if field} for one in texts)
        assert english == chinese, name
        assert all(texts), name
        assert re.search("[\u4e00-\u9fff]", texts[1]) or name == "other", name
    for name, names in EMOTIONS.items():
        assert re.search("[\u4e00-\u9fff]", names[1]), name


def test_the_labels_of_models_are_translated() -> None:
    assert [emotion("en", label) for label in ("angry", "生气/angry", "<unk>", "silence", "Boredom", "wistful")] == [
        "Angry", "Angry", "Unknown", "Silence", "Boredom", "Wistful",
    ]  # fmt: skip
    assert [emotion("zh", label) for label in ("angry", "生气/angry", "<unk>", "silence")] == [
        "生气", "生气", "未知", "静音",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-tw", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh;q=0.5,en;q=0.4", "zh"),
        ("en;q=0.1, zh;q=0.2", "zh"),
        ("zh;q=nonsense,en;q=0.1", "en"),
        (",;;=,zh", "zh"),
    ],
)
def test_the_language_is_the_one_the_browser_asks_for_first(accepted: str, language: str) -> None:
    assert language_of(accepted) == language


def test_times_and_scores_are_written_as_people_read_them() -> None:
    assert [span("en", seconds) for seconds in (0.2, 20, 89, 90, 900, 5400, 7200)] == [
        "1 s", "20 s", "89 s", "2 min", "15 min", "1.5 h", "2 h",
    ]  # fmt: skip
    assert span("zh", 180) == "3 分钟"
    assert [moment(seconds) for seconds in (0, 65.34, 3661)] == ["0:00.0", "1:05.3", "1:01:01.0"]
    assert [percent(score) for score in (0.714, 1.0, None, float("nan"))] == ["71%", "100%", "", ""]


# Errors


@pytest.mark.parametrize("code", sorted(TOLD))
def test_the_usual_errors_are_told_in_every_language(code: str) -> None:
    error = RefusedError("/private/place: nobody should read this", code=code, retry_after_s=20)
    english, chinese = (explained(error, "call.mp3", LIMITS, language) for language in LANGUAGES)
    assert english != chinese
    for told in (english, chinese):
        assert "private" not in told
        assert "{" not in told


def test_errors_name_the_limit_and_when_to_come_again() -> None:
    assert "15 min" in explained(RefusedError("", code="too_long"), "", LIMITS, "en")
    assert "256 MiB" in explained(RefusedError("", code="too_large"), "", LIMITS, "en")
    assert "约 20 秒" in explained(RefusedError("", code="busy", retry_after_s=20), "", LIMITS, "zh")


def test_other_errors_are_told_in_their_own_words_without_the_name_that_stands_beside() -> None:
    error = InputError("call.mp3: the sound ends in the middle; send it whole.", code="damaged")
    assert explained(error, "call.mp3", LIMITS, "en") == "The sound ends in the middle; send it whole."
    assert explained(error, "call.mp3", LIMITS, "zh").startswith("无法处理：")


def test_faults_tell_nothing_of_the_machine() -> None:
    for error in (ValueError("/etc/secret: line 3"), InputError("x: OSError('/etc/secret')", code="fault")):
        assert "secret" not in explained(error, "x", LIMITS, "en")


def test_options_are_called_as_the_page_calls_them() -> None:
    error = UsageError("--window is 900; 0.1 to 600 is possible.")
    assert explained(error, "", LIMITS, "en") == "“Window, seconds” is 900; 0.1 to 600 is possible."


# Pictures


def wave(rows: int) -> np.ndarray:
    high = np.abs(np.sin(np.arange(rows) / 7)).astype(np.float32)
    return np.column_stack([-high, high])


def drawn(made: EmotionResult, look: Look | None = None, **more: Any) -> dict[str, Any]:
    """A figure, which Plotly's own package has to find no fault with."""
    shown = Kept.of("x", "segment", [made]).results[0]
    found = json.loads(json.dumps(figure(shown, look or Look(), **more), allow_nan=False))
    plotly = pytest.importorskip("plotly.graph_objects", reason="plotly, which checks figures, is not installed")
    known = json.loads(json.dumps(found["layout"]))
    known["xaxis"]["rangeslider"].pop("yaxis2", None)  # its JavaScript takes it, and this package does not know
    plotly.Figure(data=found["data"], layout=known)
    return found


def bars(figure: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["type"] == "bar" and "legendgroup" in trace]


def points(figure: dict[str, Any]) -> int:
    return max(len(trace["x"]) for trace in figure["data"])


def test_a_picture_has_the_waveform_on_the_timeline_in_the_colours_of_the_emotions() -> None:
    found = drawn(result(envelope=wave(300)))
    by_name = {trace["name"]: trace for trace in bars(found) if trace["showlegend"]}
    assert list(by_name) == ["Angry", "Happy", "Silence"]
    assert by_name["Angry"]["marker"]["color"] == "#D55E00"
    assert by_name["Silence"]["marker"]["pattern"]["shape"] == "/"
    assert by_name["Happy"]["x"] == ["1970-01-01T00:00:02.500"]
    assert by_name["Happy"]["width"] == [1000.0]
    assert [len(trace["x"]) for trace in found["data"] if trace["type"] == "scatter"] == [300, 300]


def test_hovering_tells_time_emotion_and_all_scores() -> None:
    angry = bars(drawn(result()))[0]
    assert angry["hovertext"] == ["0:00.0 – 0:01.0<br><b>Angry</b> 83%<br>Neutral 10%<br>Happy 7%"]
    zh = bars(drawn(result(), Look("zh")))[0]
    assert zh["hovertext"] == ["0:00.0 – 0:01.0<br><b>生气</b> 83%<br>中立 10%<br>开心 7%"]


def test_windows_that_overlap_are_drawn_side_by_side() -> None:
    found = drawn(result(segments=[segment(0, 32_000, (0.8, 0.1, 0.1)), segment(16_000, 48_000, (0.1, 0.8, 0.1))]))
    placed = {trace["name"]: (trace["x"][0][-6:], trace["width"][0]) for trace in bars(found)}
    assert placed == {"Angry": ("00.750", 1500.0), "Happy": ("02.250", 1500.0)}


def test_a_whole_file_is_one_bar() -> None:
    (angry, strong) = bars(drawn(result(), whole=True))
    assert (angry["name"], angry["width"], strong["width"]) == ("Angry", [3000.0], [3000.0])


@pytest.mark.parametrize("made", [result(segments=[], label=None, score=None, scores=None), result(duration=0.0)])
def test_what_has_no_answer_or_no_length_is_drawn_all_the_same(made: EmotionResult) -> None:
    drawn(made)
    drawn(made, whole=True)


def test_an_hour_has_no_more_points_than_a_screen() -> None:
    timeline = Timeline(LABELS)
    for at in range(40_000):
        timeline.put(at, Span(at * 1440, at * 1440 + 1440), np.array([0.1, 0.8, 0.1]))
    with frames(60_000) as many:
        found = drawn(result(duration=3600.0, segments=timeline, frames=many, envelope=wave(50_000)))
    assert points(found) <= 2000
    assert sum(len(trace["x"]) for trace in bars(found)) <= 800
    assert len(json.dumps(found)) < 1 << 20


def test_frames_are_curves_that_add_up_to_one() -> None:
    with frames(150) as some:
        found = drawn(result(frames=some))
    curves = [trace for trace in found["data"] if trace.get("stackgroup")]
    assert [trace["name"] for trace in curves] == ["Angry", "Happy", "Neutral"]
    assert np.allclose(sum(np.array(trace["y"]) for trace in curves), 1, atol=1e-3)
    assert found["layout"]["yaxis2"]["range"] == [0, 1]


def test_pictures_are_readable_in_the_dark_and_leave_scrolling_to_a_finger() -> None:
    light, dark = (drawn(result(envelope=wave(9)), Look(dark=dark, touched=dark)) for dark in (False, True))
    assert light["data"][-1]["fillcolor"] != dark["data"][-1]["fillcolor"]
    assert (light["layout"]["dragmode"], dark["layout"]["dragmode"]) == ("zoom", False)


# Tables


def a_run(*rows: Row) -> Run:
    """A run as a table sees it."""
    made = object.__new__(Run)
    made.number, made.rows, made._call = 1, list(rows), InferenceRequest()
    return made


def around(**more: Any) -> Around:
    return dataclasses.replace(Around("en", LIMITS, "page/ticket/results"), **more)


def done(name: str, *verdicts: Verdict) -> Row:
    return Row(name, "done", None, 12.3, verdicts or (Verdict(None, "happy", 0.7),))


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


def a_transcript(**more: Any) -> Transcript:
    mood = Emotion("happy", 0.7)
    said = Sentence(0.5, 1.5, HOSTILE, (Word(HOSTILE, 0.5, 1.5, 0.9),), 0, mood, "zh", HOSTILE, 0.9)
    given = {"sentences": (said, Sentence(65.0, 66.0, "好的。", speaker=1)), "text": HOSTILE, "language": "zh", **more}
    about = {"source": HOSTILE, "duration": 70.0, "model": "m", "precision": "fp32", "device": "cpu"}
    return Transcript(**about, timings=Timings(), **given)


def test_a_transcript_says_who_spoke_when_and_in_what_mood() -> None:
    told = a_transcript(speakers=2)
    kept = Kept.of(HOSTILE, "word", [told])
    for language, words in (
        ("en", ("Speaker 1", "Speaker 2", "Happy", "70%", "1:05.0", "好的。", "Chinese", "2 speakers")),
        ("zh", ("说话人 1", "说话人 2", "开心", "70%", "1:05.0", "好的。", "中文", "2 位说话人")),
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


@pytest.mark.parametrize("kind", ["jsonl", "csv", "srt", "vtt", "txt"])
def test_transcripts_are_downloaded(spool: Spool, kind: str) -> None:
    told = a_transcript()
    one = make([Kept.of("a.wav", "word", [told])], kind, spool)
    assert "好的。" in one.path.read_text(encoding="utf-8")
    both = make([Kept.of(name, "word", [told]) for name in ("a.wav", "b.wav")], kind, spool)
    assert both.kind == (kind if kind in ("jsonl", "csv") else "zip")
    for made in (one, both):
        spool.remove(made.path)


def test_only_so_many_files_are_wanted_at_a_time() -> None:
    rows = [done("a")] * 3 + [Row("b")] * 30
    assert a_run(*rows).wanted == 3 + SENT_AHEAD


# What browsers say


@pytest.mark.parametrize("told", [None, 3, "", "[]", "{", '{"files": "a"}', '{"files": [1, null]}', "[" * 10_000])
def test_nothing_is_made_of_nonsense(told: Any) -> None:
    assert Facts.of(told) == Facts()


def test_names_are_made_harmless() -> None:
    facts = Facts.of(json.dumps({"language": "zh", "dark": True, "touched": 1, "files": ["../../a\x00b.wav", "c"]}))
    assert facts == Facts("zh", True, False, ("a_b.wav", "c"))
    assert Facts.of('{"language": "xx"}').language is None


@pytest.mark.parametrize(
    ("told", "place"),
    [({"place": "3.1"}, (3, 1)), ({"place": "x"}, (-1, 0)), ({"place": "1.-1"}, (-1, 0)), ({}, (-1, 0)),
     (None, (-1, 0)), ({"place": "9" * 99 + ".0"}, (-1, 0)), ({"place": "٣.١"}, (-1, 0))],
)  # fmt: skip
def test_places_are_two_numbers(told: Any, place: tuple[int, int]) -> None:
    assert place_of(told) == place


def test_only_options_that_mean_something_are_taken() -> None:
    asked = {"segment": "vad", "max_segment": "", "window": "2", "hop": None, "keep_silence": False}
    assert options_given(asked) == {"segment": "vad", "keep_silence": "False"}
    assert options_given({**asked, "segment": "window", "max_segment": "9"}) == {
        "segment": "window",
        "window": "2",
        "keep_silence": "False",
    }


# Pages that are open


def test_a_page_is_known_by_its_ticket_until_it_was_not_used_for_long(spool: Spool) -> None:
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    first, second = sessions.open(None, "one"), sessions.open("anna", "two")
    assert first.ticket != second.ticket
    clock.now_s += KEPT_S - 1
    assert sessions.get(first.ticket) is first
    clock.now_s += 2
    sessions.sweep()
    with pytest.raises(RefusedError) as caught:
        sessions.get(second.ticket)
    assert caught.value.code == "expired"
    assert sessions.get(first.ticket) is first


def test_a_page_whose_browser_has_gone_is_forgotten_soon_unless_it_comes_back(spool: Spool) -> None:
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    gone, back = sessions.open(None, "one"), sessions.open(None, "two")
    sessions.left("one")
    sessions.left("two")
    sessions.get(back.ticket)
    clock.now_s += LEFT_S + 1
    sessions.sweep()
    assert len(sessions) == 1
    assert sessions.get(back.ticket) is back
    assert gone is not back


def test_there_are_only_so_many_pages(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overtone.server.ui.sessions.MOST", 3)
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    for _ in range(10):
        clock.now_s += 1
        last = sessions.open(None, "")
    assert len(sessions) == 3
    assert sessions.get(last.ticket) is last


def test_results_are_kept_in_bounded_memory_and_the_oldest_make_room(spool: Spool) -> None:
    size = Kept.of("a", "segment", [result(envelope=wave(2000))]).memory_bytes
    shelf = Shelf(spool, 3 * size)
    for key in range(3):
        shelf.put(key, Kept.of("a", "segment", [result(envelope=wave(9000))]))
    assert shelf.get(0) is not None
    shelf.put(3, Kept.of("a", "segment", [result(envelope=wave(2000))]))
    assert [key for key in range(4) if shelf.get(key) is not None] == [0, 2, 3]
    for key in range(4):
        shelf.drop(key)
    assert shelf._held_bytes == 0


def test_frames_on_disk_count_among_the_uploads(spool: Spool) -> None:
    shelf = Shelf(spool)
    with frames(20_000) as many, frames(10) as few, frames(300_000) as huge:
        shelf.put("few", Kept.of("a", "frame", [result(frames=few)]))
        assert spool.held_bytes == 0
        shelf.put("many", Kept.of("a", "frame", [result(frames=many)]))
        assert spool.held_bytes == 20_000 * (8 + 16 + 12)
        with pytest.raises(RefusedError) as caught:
            shelf.put("huge", Kept.of("a", "frame", [result(frames=huge)]))
        assert caught.value.code == "no_space"
        shelf.put("many", Kept.of("a", "frame", [result(frames=many)]))
        shelf.drop("many")
        assert spool.held_bytes == 0


# Keys


def test_a_key_opens_the_door_by_its_name_until_it_is_withdrawn(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, other = add_key(path, "anna", 60.0), add_key(path, "bob")
    door = Door(Keyring.load(path))
    assert door.locked
    assert not door.open("bob", key)
    assert not door.open("anna", other)
    assert not door.open("anna", "")
    with pytest.raises(RefusedError):
        door.owner("anna")
    assert door.open("anna", f" {key}\n")
    owner = door.owner("anna")
    assert owner is not None
    assert (owner.name, owner.limit_s) == ("anna", 60.0)
    for nobody in ("bob", None, ""):
        with pytest.raises(RefusedError):
            door.owner(nobody)
    remove_key(path, "anna")
    with pytest.raises(RefusedError) as caught:
        door.owner("anna")
    assert caught.value.code == "unauthorized"


def test_without_keys_the_door_is_open() -> None:
    door = Door(None)
    assert not door.locked
    assert door.owner("anybody") is None
    assert not door.open("anybody", "key")


# Runs


class FakeService:
    """Answers when told to."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Future[list[EmotionResult]]] = {}
        self.most = 0
        self.busy = 0

    async def results(self, upload: Upload, call: InferenceRequest, *, envelope: bool) -> list[EmotionResult]:
        assert envelope
        if self.busy:
            self.busy -= 1
            raise RefusedError("busy", code="busy", retry_after_s=0.0)
        answer = asyncio.get_running_loop().create_future()
        self.under_way[upload.name] = answer
        self.most = max(self.most, len(self.under_way))
        try:
            return await answer
        finally:
            del self.under_way[upload.name]


class FakeServer:
    """What a run needs of a server."""

    def __init__(self, deadline_s: float = 60.0) -> None:
        self.service, self.metrics, self.settings = FakeService(), self, self
        self.deadline_s = deadline_s
        self.refusals: list[str] = []
        self.answered_s = 0.0

    def refused(self, code: str) -> None:
        self.refusals.append(code)

    def audio(self, seconds: float, kind: str, task: str) -> None:
        self.answered_s += seconds


def uploaded(spool: Spool, name: str) -> Upload:
    path = spool.new_path()
    path.write_bytes(b"audio")
    spool.charge(path, 5)
    return Upload(path, name, 5, "0" * 64, spool.remove)


class Going:
    """A run that goes, and what it gave."""

    def __init__(self, server: FakeServer, *names: str) -> None:
        self.given: dict[int, Sequence[EmotionResult]] = {}
        self.run = Run(server, 1, names, InferenceRequest(), self.given.__setitem__)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.run.go())

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.run.rows]


async def becomes(true: Callable[[], object]) -> None:
    async def now() -> object:
        return true()

    await until(now)


def test_files_are_answered_some_at_a_time_and_their_uploads_are_gone_then(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcdefg")
        for at, name in enumerate("abcdefg"):
            assert going.run.arrived(at, uploaded(spool, name))
        await becomes(lambda: len(server.service.under_way) == AT_ONCE)
        await settle()
        assert going.states == ["running"] * AT_ONCE + ["waiting"] * 3
        while not going.task.done():
            for answer in list(server.service.under_way.values()):
                answer.set_result([result()])
            await asyncio.sleep(0.01)
        assert server.service.most == AT_ONCE
        assert going.states == ["done"] * 7
        assert sorted(going.given) == list(range(7))
        assert server.answered_s == 21.0

    run(work())
    assert (left(spool), spool.held_bytes) == ([], 0)


def test_one_file_that_fails_stops_no_other(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcde")
        for at, name in enumerate("abcd"):
            going.run.arrived(at, uploaded(spool, name))
        going.run.missing(4, RefusedError("too large", code="too_large"))
        await becomes(lambda: len(server.service.under_way) == 4)
        server.service.under_way["a"].set_exception(InputError("a: no", code="not_audio"))
        server.service.under_way["b"].set_exception(ValueError("a fault"))
        server.service.under_way["c"].set_result([result()])
        server.service.under_way["d"].set_result([result(channel=0), result(channel=1)])
        await going.task
        assert going.states == ["failed", "failed", "done", "done", "failed"]
        assert [row.verdicts[-1].channel for row in going.run.rows[2:4]] == [None, 1]
        assert server.refusals == ["not_audio"], "the upload's own refusal is counted where it was met"

    run(work())
    assert left(spool) == []


def test_a_run_that_is_stopped_leaves_nothing(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcdefg")
        for at, name in enumerate("abcdef"):
            going.run.arrived(at, uploaded(spool, name))
        await becomes(lambda: len(server.service.under_way) == AT_ONCE)
        going.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going.task
        assert going.states == ["stopped"] * 7
        late = uploaded(spool, "g")
        assert not going.run.arrived(6, late)
        late.remove()
        assert not server.service.under_way

    run(work())
    assert (left(spool), spool.held_bytes) == ([], 0)


def test_an_upload_that_arrives_as_the_run_is_stopped_is_removed(spool: Spool) -> None:
    async def work() -> None:
        going = Going(FakeServer(), "a")
        await settle()
        going.run.arrived(0, uploaded(spool, "a"))
        going.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going.task

    run(work())
    assert left(spool) == []


def test_where_the_service_is_busy_a_file_waits(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        server.service.busy = 2
        going = Going(server, "a")
        going.run.arrived(0, uploaded(spool, "a"))
        await becomes(lambda: going.states == ["waiting"])
        await becomes(lambda: server.service.under_way)
        server.service.under_way["a"].set_result([result()])
        await going.task
        assert going.states == ["done"]
        assert server.refusals == []

    run(work())


def test_where_it_stays_busy_or_slow_it_is_given_up(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer(deadline_s=0.05)
        server.service.busy = 1000
        going = Going(server, "a")
        going.run.arrived(0, uploaded(spool, "a"))
        await going.task
        server.service.busy = 0
        slow = Going(server, "b")
        slow.run.arrived(0, uploaded(spool, "b"))
        await slow.task
        codes = [getattr(one.run.rows[0].error, "code", "") for one in (going, slow)]
        assert codes == server.refusals == ["busy", "deadline"]

    run(work())
    assert left(spool) == []


def test_an_upload_that_never_comes_is_given_up(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overtone.server.ui.run.LOST_S", 0.1)

    async def work() -> None:
        going = Going(FakeServer(), "a", "b")
        with going.run.arriving():
            await asyncio.sleep(0.3)
            assert going.states == ["sending", "sending"], "another is on its way"
        await going.task
        assert [getattr(row.error, "code", "") for row in going.run.rows] == [lost().code] * 2

    run(work())


# Downloads


@pytest.fixture
def answer(recognizer: EmotionRecognizer) -> EmotionResult:
    return dataclasses.replace(recognizer(str(EXAMPLES / "call.mp3")), source="call.mp3")


def content(spool: Spool, kept: list[Kept], kind: str) -> tuple[str, bytes]:
    made = make(kept, kind, spool)
    data = made.path.read_bytes()
    assert spool.held_bytes == len(data)
    spool.remove(made.path)
    assert (left(spool), spool.held_bytes) == ([], 0)
    return made.name, data


def test_a_result_is_downloaded_as_its_record(spool: Spool, answer: EmotionResult) -> None:
    name, data = content(spool, [Kept.of("call.mp3", "segment", [answer])], "json")
    assert name == "call.json"
    assert json.loads(data) == json.loads(json.dumps(to_record(answer, granularity="segment")))


def test_results_of_several_files_are_one_table_or_a_zip(spool: Spool, answer: EmotionResult) -> None:
    silent = dataclasses.replace(answer, source="quiet.wav", embedding=None)
    several = [Kept.of(one.source, "segment", [one]) for one in (answer, answer, silent)]
    name, data = content(spool, several, "json")
    assert name == "overtone.json"
    assert [record["source"] for record in json.loads(data)] == ["call.mp3", "call.mp3", "quiet.wav"]
    _, data = content(spool, several, "csv")
    assert len(data.splitlines()) == 1 + 3 * len(answer.segments)
    for kind, names in (("srt", ["call.srt", "call-2.srt", "quiet.srt"]), ("npz", ["call.npz", "call-2.npz"])):
        name, data = content(spool, several, kind)
        assert name == "overtone.zip"
        assert zipfile.ZipFile(io.BytesIO(data)).namelist() == names


def test_the_embedding_is_numpys(spool: Spool, recognizer: EmotionRecognizer) -> None:
    made = recognizer(str(EXAMPLES / "sad.wav"), granularity="frame")
    name, data = content(spool, [Kept.of("sad.wav", "frame", [made])], "npz")
    assert name == "sad.npz"
    arrays = np.load(io.BytesIO(data))
    assert made.frames is not None
    np.testing.assert_array_equal(arrays["embedding"], made.embedding)
    assert arrays["frames"].shape == made.frames.embeddings.shape


def test_what_cannot_be_made_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(InputError):
        make([Kept.of("a", "segment", [result()])], "npz", spool)
    many = [segment(at * 100, at * 100 + 100, (0.8, 0.1, 0.1)) for at in range(50_000)]
    with pytest.raises(RefusedError) as caught:
        make([Kept.of("a", "segment", [result(segments=many)])], "json", spool)
    assert caught.value.code == "no_space"
    assert (left(spool), spool.held_bytes) == ([], 0)


@pytest.mark.parametrize("gone", [False, True])
def test_a_download_is_removed_when_it_is_sent_or_its_browser_has_gone(spool: Spool, gone: bool) -> None:
    async def work() -> bytes:
        body = b""

        async def send(message: Any) -> None:
            nonlocal body
            body += message.get("body", b"")
            if gone:
                raise OSError("the browser has gone")

        async def receive() -> Any:
            await asyncio.sleep(3600)

        response = await sent([Kept.of("结果.wav", "segment", [result("结果.wav")])], "csv", spool)
        assert "filename*=utf-8''%E7%BB%93%E6%9E%9C.csv" in response.headers["content-disposition"]
        scope = {"type": "http", "method": "GET", "headers": [], "path": "/"}
        try:
            await response(scope, receive, send)
        except OSError:
            assert gone
        return body

    assert run(work()) or gone
    assert (left(spool), spool.held_bytes) == ([], 0)


# The gate, and the page as a part of the service


@pytest.mark.parametrize(
    ("method", "path", "through"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("GET", "/assets/index.js", True),
        ("GET", "/gradio_api/queue/data", True),
        ("POST", "/gradio_api/queue/join", True),
        ("POST", "/login", True),
        ("POST", "/", False),
        ("GET", "/v1/nothing", False),
        ("GET", "/gradio_api/file=/etc/passwd", False),
        ("GET", "/gradio_api/proxy=https://a.hf.space", False),
        ("POST", "/gradio_api/upload", False),
        ("POST", "/gradio_api/component_server", False),
        ("POST", "/gradio_api/run/predict", False),
        ("GET", "/gradio_api/runs", False),
        ("POST", "/gradio_api/vibe-code", False),
        ("GET", "/monitoring", False),
        ("GET", "/custom_component/a/b/c/d.js", False),
        ("DELETE", "/", False),
    ],
)
def test_only_what_the_page_needs_goes_through(method: str, path: str, through: bool) -> None:
    assert let_through({"type": "http", "method": method, "path": path}) is through


def test_the_page_is_no_place_for_websockets() -> None:
    assert not let_through({"type": "websocket", "path": "/"})


def needs_gradio() -> None:
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'overtone[ui]'")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_gradio()
    with serving(tmp_path_factory.mktemp("page"), page=True, max_upload="1MiB") as running:
        yield running


def test_the_page_is_at_the_root_and_everything_else_stays_the_services(service: Running) -> None:
    page = service.http.get("/")
    assert page.status_code == 200
    assert "gradio_config" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=.https?://", page.text)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models"):
        assert service.http.get(path).status_code == 200, path
    assert service.http.get("/v1/emotion").status_code == 405
    for path in ("/nothing", "/gradio_api/file=/etc/passwd", "/gradio_api/upload"):
        refused = service.http.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown"), path
    assert "/page" not in service.http.get("/openapi.json").text


def test_bodies_of_messages_are_bounded(service: Running) -> None:
    refused = service.http.post("/gradio_api/queue/join", content=b"0" * (MOST_BYTES + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


def test_gradio_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    needs_gradio()
    code = """
import asyncio, os, tempfile
from overtone.options.emotion import Options
from overtone.server.app import create_app
from overtone.server.state import Server, load_models
from overtone.server.settings import Settings
from overtone.server.ui import mount, spoken

async def main():
    settings = Settings(jobs=os.environ["TMPDIR"] + "/jobs")
    server = Server(settings, load_models(Options(), settings))
    mount(create_app(server), server)
    await server.close()

asyncio.run(main())
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment, cwd=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "gradio" in path.name or "vibe" in path.name]


def test_nobody_uploads_or_downloads_without_a_ticket(service: Running) -> None:
    for response in (
        service.http.post("/page/guessed/1/0", content=b"audio", headers={"Content-Type": "audio/wav"}),
        service.http.get("/page/guessed/results/all.json"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "unknown")


# What happens when something is touched


class Browser:
    """Asks a page as Gradio does, and shows what it gets: the newest value of each component."""

    def __init__(self, page: Any, username: str | None = None, language: str = "en") -> None:
        self.page, self.on = page, page._layout
        self.shown: dict[Any, Any] = {}
        self.request = SimpleNamespace(username=username, session_hash="browser", headers={"accept-language": language})
        self.tables: list[str] = []

    def take(self, changes: dict[Any, Any]) -> None:
        for part, change in changes.items():
            is_update = isinstance(change, dict)
            if not is_update or "value" in change:
                self.shown[part] = change["value"] if is_update else change

    async def open(self, **facts: Any) -> str:
        self.take(await self.page.opened(json.dumps(facts), self.request))
        return str(self.shown.get(self.on.ticket, ""))

    async def analyse(self, *names: str, **options: Any) -> None:
        """Press the button, and take what comes of it."""
        asked = {"granularity": "segment", "segment": "vad", "channels": "mix", **options}
        given = {
            self.on.ticket: self.shown.get(self.on.ticket, ""),
            self.on.facts: json.dumps({"files": names}),
            self.on.task: asked.get("task", "emotion"),
            **{part: asked.get(name) for name, part in (self.on.options | self.on.spoken_options).items()},
        }
        async for changes in self.page.analysed(given, self.request):
            self.take(changes)
            self.tables.append(self.table)

    @property
    def session(self) -> Session:
        found: Session = self.page.sessions.get(self.shown[self.on.ticket])
        return found

    @property
    def table(self) -> str:
        return str(self.shown.get(self.on.files))

    @property
    def figure(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.shown[self.on.picture].plot)
        return found

    async def run(self, files: dict[str, bytes], **options: Any) -> None:
        """Analyse files, which are sent as the script of the page does."""
        sending = self.send(self.session.runs, *files.values())
        await asyncio.gather(self.analyse(*files, **options), sending)

    async def send(self, before: int, *contents: bytes) -> None:
        """Send files once the service wants them."""
        await becomes(lambda: self.session.runs > before and self.session.run is not None)
        run = self.session.run
        assert run is not None
        for at, data in enumerate(contents):
            spool = self.page._server.spool
            path = spool.new_path()
            path.write_bytes(data)
            spool.charge(path, len(data))
            assert run.arrived(at, Upload(path, run.rows[at].name, len(data), "0" * 64, spool.remove))


@asynccontextmanager
async def a_page(folder: Path, **given: Any) -> AsyncIterator[Any]:
    """A page of a service that is not served."""
    from overtone.server.ui.page import Page

    settings = Settings(jobs=str(folder / "jobs"), uploads=str(folder), **given)
    server = Server(settings, load_models(Options(memory="4GiB"), settings))
    page = Page(server)
    try:
        await server.open()
        yield page
    finally:
        working = page.sessions.working
        page.sessions.close_all()
        await asyncio.gather(*working, return_exceptions=True)
        await server.close()
    assert server.spool.held_bytes == 0


CALL, SAD = EXAMPLES / "call.mp3", EXAMPLES / "sad.wav"


def test_files_go_in_and_their_results_are_shown(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open(dark=True)
            assert "Choose files or record" in browser.table
            broken = b"no audio at all" * 99
            await browser.run({"call.mp3": CALL.read_bytes(), "broken.wav": broken, "sad.wav": SAD.read_bytes()})
            assert "Uploading" in browser.tables[0]
            assert "2 of 3 done, 1 failed" in browser.table
            assert "It is no audio" in browser.table
            assert browser.figure["data"]
            first = browser.session.shown
            assert first in ((0, 0), (2, 0)), "what was there first is shown"
            for place, name in (("2.0", "sad.wav"), ("0.0", "call.mp3")):
                event = SimpleNamespace(_data={"place": place})
                browser.take(await page.chosen(browser.session.ticket, event, browser.request))
                assert name in browser.shown[browser.on.verdict]
            assert len({trace["name"] for trace in bars(browser.figure)}) > 3, "a call of several emotions"
            browser.take(await page.spoken(browser.session.ticket, "zh"))
            assert "已完成 2/3，失败 1" in browser.table
            assert "生气" in {trace["name"] for trace in bars(browser.figure)}
            assert "整体得分" in browser.shown[browser.on.details]
            browser.take(await page.chosen(browser.session.ticket, SimpleNamespace(_data={"place": "1.0"}), None))
            assert "不再保留" in browser.shown[browser.on.verdict], "what failed has no result"

    run(work())


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            stranger = Browser(page, language="zh-CN")
            await stranger.analyse("a.wav")
            assert "刷新页面" in stranger.table
            browser = Browser(page)
            await browser.open()
            await browser.analyse()
            assert "Choose a file" in browser.table
            await browser.analyse("a.wav", max_segment="long")
            assert "“Longest segment, seconds” is &#x27;long&#x27;" in browser.table
            page._server.drain()
            await browser.analyse("a.wav")
            assert "not ready" in browser.table

    run(work())


def test_what_is_too_long_too_short_or_stopped(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path, max_audio_s=5.0) as page:
            browser = Browser(page)
            await browser.open()
            await browser.run({"a.wav": SAD.read_bytes(), "b.wav": clip(1, 2.0)})
            assert "It is longer than 5 s" in browser.table
            assert "1 of 2 done, 1 failed" in browser.table
            going = asyncio.create_task(browser.analyse("c.wav"))
            await becomes(lambda: "Uploading" in browser.table)
            await page.stopped(browser.session.ticket)
            await going
            assert "Stopped" in browser.table

    run(work())


def test_frames_channels_and_whole_files_are_shown(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            await browser.run({"a.wav": SAD.read_bytes()}, granularity="frame", channels="split")
            assert [trace for trace in browser.figure["data"] if trace.get("stackgroup")]
            assert "channel 1: Sad" in browser.table
            await browser.run({"b.wav": SAD.read_bytes()}, granularity="utterance")
            assert len(bars(browser.figure)) == 2
            assert "<details>" not in browser.shown[browser.on.details]

    run(work())


def test_speech_is_written_down_where_there_is_a_transcriber(tmp_path: Path) -> None:
    needs_gradio()
    checkpoint = sense_voice.publish(tmp_path / "recognizer")

    async def work() -> None:
        async with a_page(tmp_path, transcriber=str(checkpoint)) as page:
            browser = Browser(page)
            await browser.open()
            assert browser.on.task.visible
            shown = await page.asked("transcribe")
            assert shown[browser.on.spoken]["visible"]
            assert not shown[browser.on.granularity]["visible"]
            assert (await page.asked("emotion"))[browser.on.granularity]["visible"]
            texts = browser.on.texts("en", Options(), page._view.takes())
            assert not texts[browser.on.hotwords]["visible"], "SenseVoice listens for none"
            await browser.run({"call.mp3": CALL.read_bytes()}, task="transcribe", language="auto", hotwords="")
            (kept,) = page.sessions.all_kept(browser.session)
            assert kept.task == "transcribe"
            (told,) = kept.results
            assert told.sentences[0].text[:10] in html.unescape(browser.table)
            assert "English" in browser.shown[browser.on.verdict]
            assert browser.shown[browser.on.picture] is None
            await browser.run({"sad.wav": SAD.read_bytes()})
            assert browser.figure["data"], "the other task still works"
            await browser.analyse("call.mp3", task="transcribe", hotwords="words")
            assert "SeACo" in browser.table

    run(work(), 240)


def test_nothing_of_it_is_shown_where_there_is_none(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            assert not browser.on.task.visible
            await browser.analyse("a.wav", task="transcribe")
            assert "--transcriber" in browser.table

    run(work())


def test_a_browser_that_goes_takes_its_work_along(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            given = dict.fromkeys((browser.on.options | browser.on.spoken_options).values())
            given[browser.on.task] = "emotion"
            given |= {browser.on.ticket: browser.session.ticket, browser.on.facts: '{"files": ["a.wav"]}'}
            given[browser.on.granularity] = "segment"
            going = page.analysed(given, browser.request)
            await anext(going)
            working = browser.session.working
            await going.aclose()
            await asyncio.wait([working])
            assert working.cancelled()

    run(work())


def test_keys_hold_for_the_page_too(tmp_path: Path) -> None:
    needs_gradio()
    keys = tmp_path / "keys.json"
    key = add_key(keys, "anna", 60.0)

    async def work() -> None:
        async with a_page(tmp_path, keys=str(keys)) as page:
            stranger = Browser(page, "anna")
            assert await stranger.open() == ""
            assert "Sign in again" in stranger.table
            assert page.door.open("anna", key)
            browser = Browser(page, "anna")
            await browser.open()
            assert "Sign out anna" in browser.shown[browser.on.heading]
            seen: list[Any] = []
            service = page._server.service
            results = service.results

            async def watched(upload: Upload, call: InferenceRequest, **more: Any) -> Any:
                seen.append(call.owner)
                return await results(upload, call, **more)

            service.results = watched
            await browser.run({"a.wav": SAD.read_bytes()})
            assert [(owner.name, owner.limit_s) for owner in seen] == [("anna", 60.0)]
            remove_key(keys, "anna")
            await browser.analyse("a.wav")
            assert "not valid any more" in browser.table

    run(work())


def test_without_gradio_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'overtone\[ui\]'"):
        mount(None, None)  # type: ignore[arg-type]


def test_importing_the_page_imports_no_gradio() -> None:
    code = "import sys, overtone.server.ui; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
