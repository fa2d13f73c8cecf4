"""Times of results are those of a player, and all of a file is heard, whichever way it is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from helpers.clips import CLIPS
from overtone import EmotionRecognizer
from overtone.results import EmotionResult

NEAR_S = 0.15
"""Voice activity begins within this of where it is: it has a step of 32 ms, and a hole is silence to the sample."""


@pytest.fixture(scope="module", params=["processes", "threads"])
def recognizer(request: pytest.FixtureRequest) -> Iterator[EmotionRecognizer]:
    with EmotionRecognizer("tiny", decode=request.param, max_segment=5.0) as made:
        yield made


def speech_s(result: EmotionResult) -> list[float]:
    """Where a stretch of speech begins after silence."""
    return [
        second.span.start_s for first, second in pairwise(result.segments) if first.label == "silence" != second.label
    ]


@pytest.mark.parametrize(
    ("name", "starts", "duration", "warning"),
    [
        ("delay4.mp4", [6.94, 11.94], 16, "4.0 s without audio at 0.0 s were filled with silence"),
        ("gap5.webm", [2.94, 12.97], 17, "5.0 s without audio at 6.9 s were filled with silence"),
    ],
)
def test_speech_is_where_a_player_has_it(
    recognizer: EmotionRecognizer, name: str, starts: list[float], duration: float, warning: str
) -> None:
    result = recognizer(str(CLIPS / "times" / name))
    assert speech_s(result) == pytest.approx(starts, abs=NEAR_S)
    assert result.duration == pytest.approx(duration, abs=0.05)
    assert result.warnings == (warning,)


def test_a_file_whose_channels_change_is_heard_to_its_end(recognizer: EmotionRecognizer) -> None:
    path = str(CLIPS / "times" / "ad_mono_stereo.mp3")
    (result,) = recognizer.results_for(path, channels="split")
    mixed = recognizer(path)
    assert result.duration == mixed.duration == pytest.approx(9.745, abs=0.05)
    assert [*result.segments] == [*mixed.segments]
    assert "from 1 to 2 at 3.110 s, from 2 to 1 at 6.584 s" in result.warnings[0]
