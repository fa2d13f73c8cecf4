"""What browsers say: nothing is made of nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from overtone.server.ui.asked import Facts, options_given, place_of


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
