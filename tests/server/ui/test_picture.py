"""Pictures: what Plotly is given to draw."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from helpers.results import LABELS, frames, result, segment
from helpers.server.page import bars, wave
from overtone.merging.timeline import Timeline
from overtone.results import EmotionResult
from overtone.server.ui.kept import Kept
from overtone.server.ui.picture import Look, figure
from overtone.types import Span


def drawn(made: EmotionResult, look: Look | None = None, **more: Any) -> dict[str, Any]:
    """A figure, which Plotly's own package has to find no fault with."""
    shown = Kept.of("x", "segment", [made]).results[0]
    found = json.loads(json.dumps(figure(shown, look or Look(), **more), allow_nan=False))
    plotly = pytest.importorskip("plotly.graph_objects", reason="plotly, which checks figures, is not installed")
    known = json.loads(json.dumps(found["layout"]))
    known["xaxis"]["rangeslider"].pop("yaxis2", None)  # its JavaScript takes it, and this package does not know
    plotly.Figure(data=found["data"], layout=known)
    return found


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
