"""`chunking_strategy` of OpenAI's API: how audio is to be cut, in the forms in which clients send it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from overtone.errors import UsageError
from overtone.system.documents import parse_json

_NAME = "chunking_strategy"

_VALUES = {"type": None, "threshold": 1.0, "prefix_padding_ms": math.inf, "silence_duration_ms": math.inf}
"""Fields of a strategy, and the largest that each may be; `type` is a word."""

CHUNKING = (_NAME, *(f"{_NAME}[{value}]" for value in _VALUES))
"""Fields of a form. OpenAI's clients send an object as a field for each of its values."""

_AUTO, _VAD = "auto", "server_vad"

_MOST_VALUES = 16
"""JSON values of a strategy: four names and what they are, and some to spare."""


def chunking_warnings(texts: Mapping[str, str], *, cut: bool) -> list[str]:
    """Warnings of what a strategy asks for and does not get: audio is cut where speech pauses, as `auto` has it, and
    the service was started with how.

    texts: fields of a form. cut: whether the service cuts. UsageError for a strategy that there is not, and for a value
    that it cannot have.
    """
    given = _given(texts)
    if given is None:
        return []
    _check(given)
    warnings = [] if cut else [f"{_NAME} was left out: the service was started to hear files whole."]
    if values := [name for name in given if name != "type"]:
        warnings.append(f"{', '.join(values)} of {_NAME} changed nothing: the service was started with its own.")
    return warnings


def _given(texts: Mapping[str, str]) -> Mapping[str, Any] | None:
    """A strategy as an object; None where none is asked for."""
    whole = texts.get(_NAME)
    parts = {value: texts[f"{_NAME}[{value}]"] for value in _VALUES if f"{_NAME}[{value}]" in texts}
    if whole is not None and parts:
        raise UsageError(f"{_NAME} is given twice.")
    if parts:
        return parts
    if whole in (None, "", "null"):
        return None
    if whole == _AUTO:
        return {}
    try:
        found: object = parse_json(whole, max_values=_MOST_VALUES)
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise UsageError(f"{_NAME} is {whole[:100]!r}; it is {_AUTO}, or an object of the type {_VAD}.")
    return {**found}


def _check(given: Mapping[str, Any]) -> None:
    if unknown := next((name for name in given if name not in _VALUES), None):
        raise UsageError(f"{_NAME} has no {unknown[:100]!r}; it has {', '.join(_VALUES)}.")
    if given and given.get("type") != _VAD:
        raise UsageError(f"the type of {_NAME} is {str(given.get('type'))[:100]!r}; it is {_VAD}.")
    for name, most in _VALUES.items():
        if most is not None and name in given and not _fits(given[name], most, whole=math.isinf(most)):
            kind = "a number from 0 to 1" if most == 1 else "a whole number of milliseconds"
            raise UsageError(f"{name} of {_NAME} is {str(given[name])[:100]!r}; it is {kind}.")


def _fits(value: object, most: float, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return False
    return 0 <= number <= most and math.isfinite(number) and (number.is_integer() or not whole)
