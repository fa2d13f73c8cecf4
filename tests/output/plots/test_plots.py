"""Pictures: they are drawn for every kind of result, without warnings, from a bounded number of points."""

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from helpers.paths import TESTS
from helpers.results import LABELS, failed, frames, result, segment
from overtone.audio.envelope import Envelope
from overtone.errors import UsageError
from overtone.output.plots import color_of, plot_timeline
from overtone.output.plots.colors import COLORS, short_label, terminal_color
from overtone.output.plots.curves import (
    SCORE_POINTS,
    TIMELINE_STRETCHES,
    WAVEFORM_POINTS,
    curves_of,
    stretches_of,
    thin_envelope,
)
from overtone.output.plots.timeline_plot import MAX_TITLE, _shortened, decimals_of, tick_step
from overtone.output.times import clock, rounded_duration
from overtone.results import SegmentResult
from overtone.types import Span

ENVELOPE = np.tile(np.array([[-0.5, 0.4]], np.float32), (150, 1))
BARE = SegmentResult(Span(0, 48_000), None, None, None)


def _is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 5000


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"envelope": None},
        {"envelope": np.zeros((150, 2), np.float32)},
        {"envelope": np.zeros((0, 2), np.float32)},
        {"label": "silence", "score": None, "scores": None, "segments": [segment(0, 48_000, None)]},
        {"label": None, "score": None, "scores": None, "segments": [BARE]},
        {"label": None, "score": None, "scores": None, "segments": []},
        {"duration": 0.025, "segments": [segment(0, 400, (1, 0, 0))], "envelope": ENVELOPE[:2]},
        {"channel": 1, "channels": 2},
        {"source": "$\\frac{a$ 通话录音\udc80\n\t😀.mp3", "model": "$x$"},
        {"source": "n" * 300},
        {"source": "-"},
    ],
)
def test_every_kind_is_drawn(tmp_path, changes):
    path = tmp_path / "new" / "x.png"
    plot_timeline(result(**({"envelope": ENVELOPE} | changes)), str(path))
    assert _is_png(path)
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


def test_the_legend_says_which_share_of_the_speech_is_what(tmp_path, monkeypatch):
    drawn = []

    def keep(figure, *_, **__):
        drawn.extend(text.get_text() for legend in figure.legends for text in legend.get_texts())

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", keep)
    with suppress(OSError):  # nothing was saved
        plot_timeline(result(shares={"angry": 0.4, "happy": 0.6, "neutral": 0.004}), str(tmp_path / "x.png"))
    assert drawn == ["neutral", "happy 60%", "angry 40%", "silence"]


def test_published_labels_are_drawn(tmp_path):
    labels = ("生气/angry", "开心", "<unk>")
    value = result(segments=[segment(0, 48_000, (0.2, 0.7, 0.1), labels)], label="开心")
    plot_timeline(value, str(tmp_path / "x.png"))
    assert _is_png(tmp_path / "x.png")


def test_a_failed_input_has_no_picture(tmp_path):
    with pytest.raises(UsageError, match=r"broken.wav failed.*not audio"):
        plot_timeline(failed(), str(tmp_path / "x.png"))
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'overtone\[plot\]'"):
        plot_timeline(result(), str(tmp_path / "x.png"))


@pytest.mark.parametrize("fine", [True, False])
def test_ten_hours_are_drawn_with_as_many_points_as_a_minute(tmp_path, fine):
    second = 16_000
    segments = [segment(at * 10 * second, (at + 1) * 10 * second, (0.5, 0.3, 0.2)) for at in range(3600)]
    envelope = np.tile(ENVELOPE, (12_000, 1))
    with frames(1_800_000) as some:
        value = result(duration=36_000.0, segments=segments, envelope=envelope, frames=some if fine else None)
        curves = curves_of(value)
        plot_timeline(value, str(tmp_path / "x.png"))
    assert len(curves.times) <= 2 * SCORE_POINTS
    assert len(curves.times) == len(curves.scores)
    if not fine:
        np.testing.assert_allclose(curves.scores, [[0.5, 0.3, 0.2]] * len(curves.scores))
    assert _is_png(tmp_path / "x.png")


def test_an_envelope_has_as_many_rows_for_an_hour_as_for_ten_minutes():
    minute = np.zeros(60 * 16_000, np.float32)
    long, short = Envelope(), Envelope()
    for at in range(60):
        loud = minute.copy()
        loud[[17, 5_000]] = at + 1, -at - 1
        long.push(loud)
        if at < 3:
            short.push(loud[:500_000])
            short.push(loud[500_000:])
    assert short.rows().shape == (9_000, 2)
    assert 8_192 <= len(long.rows()) <= 16_384
    assert long.rows()[0].tolist() == [-1, 1]
    assert long.rows()[:, 1].max() == 60
    peaks = np.flatnonzero(long.rows()[:, 1]) / len(long.rows())
    np.testing.assert_allclose(peaks * 60, np.arange(60), atol=0.01)


def test_no_global_state(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r}); "
        "from helpers.results import result; import matplotlib\n"
        "before = matplotlib.rcParams.copy(); from overtone.output.plots import plot_timeline\n"
        f"plot_timeline(result(), {str(tmp_path / 'x.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_emotions_keep_their_colours():
    assert color_of("生气/angry") == color_of("anger") == color_of("Angry") == COLORS["angry"].drawn
    assert color_of("<unk>") == COLORS["unk"].drawn
    assert color_of("nostalgia") == color_of("nostalgia")
    assert len({colour.drawn for colour in COLORS.values()}) == len(COLORS)
    assert [terminal_color(label) for label in ("angry", "silence", "bored", "生气/angry", "nostalgia")] == [
        "red", "bright_black", "white", "white", "white",
    ]  # fmt: skip
    assert short_label("生气/angry") == "angry"
    assert short_label("开心") == "开心"


def test_segments_make_steps():
    curves = curves_of(result())
    assert curves.labels == LABELS
    assert curves.times.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    spoken = ~np.isnan(curves.scores[:, 0])
    assert spoken.tolist() == [False, True, True, False] * 2
    assert curves.scores[1].tolist() == [0.83, 0.07, 0.1]
    assert curves_of(result(segments=[BARE])) is None


@pytest.mark.parametrize("count", [1, 2, 29, 50, 1000])
def test_frames_leave_no_false_gaps(count):
    with frames(count) as some:
        curves = curves_of(result(duration=count * 0.02, frames=some))
        mean = some.scores.numpy().mean(axis=0)
    assert not np.isnan(curves.scores).any()
    np.testing.assert_allclose(curves.scores.sum(axis=1), 1, atol=1e-5)
    if count <= 2:  # one bin holds them all
        np.testing.assert_allclose(curves.scores[0], mean, atol=1e-6)


def test_silence_is_a_gap_between_frames():
    with frames(100) as some:
        some.starts.append(np.arange(100) * 320 + 160_000)
        some.scores.append(np.full((100, 3), 1 / 3, np.float32))
        curves = curves_of(result(duration=12.0, frames=some))
    gap = np.isnan(curves.scores[:, 0])
    assert curves.times[gap].min() == pytest.approx(2.0, abs=0.05)
    assert curves.times[gap].max() == pytest.approx(10.0, abs=0.05)


def test_a_thinned_envelope_keeps_its_peaks():
    rows = np.zeros((100_003, 2), np.float32)
    rows[54_321] = (-0.9, 0.8)
    thin = thin_envelope(rows)
    assert thin.shape == (WAVEFORM_POINTS, 2)
    assert (thin.min(), thin.max()) == (np.float32(-0.9), np.float32(0.8))


def test_many_segments_are_summed_up():
    few, width = stretches_of(result().segments, 3.0)
    assert width == 0
    assert [(s.label, s.start, s.stop) for s in few] == [("angry", 0, 1), ("silence", 1, 2), ("happy", 2, 3)]
    seconds = [segment(s * 16_000, (s + 1) * 16_000, (0, 1, 0) if s % 4 else (1, 0, 0)) for s in range(4000)]
    many, width = stretches_of(seconds, 4000.0)
    assert len(many) == TIMELINE_STRETCHES
    assert width == 10
    assert {stretch.label for stretch in many} == {"happy"}


@pytest.mark.parametrize(
    ("seconds", "step", "text"),
    [(0, 1, "0:00"), (61, 10, "1:01"), (3599, 60, "59:59"), (3600, 900, "1:00:00"), (36_000, 3600, "10:00:00"),
     (1.5, 0.5, "0:01.5"), (0.025, 0.005, "0:00.025"), (59.96, 0.1, "1:00.0")],
)  # fmt: skip
def test_clock(seconds, step, text):
    assert clock(seconds, decimals_of(step)) == text


@pytest.mark.parametrize("seconds", [0.02, 1, 59, 600, 7200, 36_000, 400_000, 5_000_000])
def test_ticks_are_few(seconds):
    assert 1 <= seconds / tick_step(seconds) <= 11


def test_captions_and_titles():
    assert [rounded_duration(s) for s in (0.5, 14, 210, 7200)] == ["0.5 s", "14 s", "3.5 min", "2 h"]
    assert _shortened("short", MAX_TITLE) == "short"
    assert len(_shortened("n" * 300, MAX_TITLE)) == MAX_TITLE
    assert len(_shortened("通" * 300, MAX_TITLE)) <= MAX_TITLE // 2 + 1
