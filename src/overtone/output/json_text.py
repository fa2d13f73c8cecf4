"""JSON that comes from a file of anybody's: one kind of error, whatever is wrong with it."""

from __future__ import annotations

import json
from typing import Any

_MOST_DIGITS = 4300
"""Digits of an integer, which newer Pythons bound by themselves: reading one takes time with the square of them."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError also for one that is nested too deeply or has a number that is too long."""
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
