"""Lengths and times as text."""

from __future__ import annotations

import pytest

from overtone.output.times import clock, duration, rounded_duration


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [(0, 0, "0:00"), (61.4, 0, "1:01"), (3599.6, 0, "1:00:00"), (36_000, 0, "10:00:00"), (185.25, 1, "3:05.2"),
     (59.96, 1, "1:00.0"), (3723.4, 1, "1:02:03.4"), (0.025, 3, "0:00.025")],
)  # fmt: skip
def test_a_clock_shows_hours_from_an_hour_on(seconds: float, digits: int, text: str):
    assert clock(seconds, digits) == text


def test_a_padded_clock_shows_them_always():
    assert clock(185.25, 3, mark=",", padded=True) == "00:03:05,250"
    assert clock(360_000, padded=True) == "100:00:00"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (4.24, "4.2 s"), (59.94, "59.9 s"), (60, "1:00"), (3723, "1:02:03")]
)
def test_a_duration_has_a_unit_below_a_minute(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.923, "0.92 s"), (14.2, "14 s"), (210, "3.5 min"), (5699, "95 min"), (7200, "2 h")]
)
def test_a_rounded_duration_has_two_figures(seconds: float, text: str):
    assert rounded_duration(seconds) == text
