"""Shares of speaking time in a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.output.shares import largest_shares, shares_text

CALL = {"angry": 0.2668, "bored": 0.0528, "disgusted": 0.0, "happy": 0.0501, "neutral": 0.4154, "sad": 0.2149}


@pytest.mark.parametrize(
    ("shares", "speech_s", "text"),
    [
        (CALL, 35.744, "42 % neutral, 27 % angry, 21 % sad, 10 % others of 35.7 s of speech"),
        ({"sad": 1.0, "angry": 0.0}, 2.0, "100 % sad of 2.0 s of speech"),
        ({"sad": 0.5, "angry": 0.5}, 4000.0, "50 % sad, 50 % angry of 1:06:40 of speech"),
        ({"a": 0.6, "b": 0.396, "c": 0.003, "d": 0.001}, 60.0, "60 % a, 40 % b of 1:00 of speech"),
        ({"a": 0.9, "b": 0.1}, 0.0, "90 % a, 10 % b"),
    ],
)
def test_a_line_of_shares(shares: dict[str, float], speech_s: float, text: str) -> None:
    assert shares_text(shares, speech_s) == text


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12).filter(any))
def test_what_is_named_is_largest_and_with_the_rest_it_is_all_but_crumbs(parts: list[int]) -> None:
    shares = {str(at): part / sum(parts) for at, part in enumerate(parts)}
    named, rest = largest_shares(shares)
    sizes = [share for _, share in named]
    assert sizes == sorted(shares.values(), reverse=True)[: len(named)]
    assert all(shares[label] == share for label, share in named)
    # Of those that are named, at most two more would read as 0 %; of the rest, the sum would.
    assert 1 - 3 * 0.005 <= sum(sizes) + rest <= 1 + 1e-9
