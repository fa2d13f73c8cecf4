"""Texts: both languages, and what people read as times and scores."""

from __future__ import annotations

import re
import string

import pytest

from overtone.server.ui.texts import EMOTIONS, TEXTS, emotion, language_of, moment, percent, span


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
