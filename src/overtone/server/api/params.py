"""Values of a request's parameters from their text, and the errors of texts that are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from overtone.errors import UsageError
from overtone.options.check import WORDS, kinds_of
from overtone.options.emotion import Options
from overtone.output.records import DETAILS, Detail
from overtone.server.inference.request import overlap_factor
from overtone.wording import param

_N = TypeVar("_N", int, float)

MOST_OVERLAP = 16
"""Of windows: 4 s every quarter of a second. A minute must not become hours of work."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def options_of(given: Mapping[str, str], base: Options) -> dict[str, Any]:
    """The options of a call from their text. UsageError for one that there is not, or a value that it cannot have."""
    made: dict[str, Any] = {}
    hints = get_type_hints(type(base)) if given else {}
    for name, text in given.items():
        if name not in base.per_call:
            raise UsageError(f"there is no option {name!r} of such a request; there are: {', '.join(base.per_call)}.")
        made[name] = _value(name, text, kinds_of(hints[name]))
    if (times := overlap_factor(base.for_call(**made))) > MOST_OVERLAP:
        raise UsageError(
            f"{param('hop')} is so short that all is heard {times:.0f} times; {MOST_OVERLAP} times are the most."
        )
    return made


def _value(name: str, text: str, kinds: tuple[Any, ...]) -> Any:
    if bool in kinds:
        return boolean(name, text)
    for kind in (int, float):
        if kind in kinds:
            return number(kind, name, text, "a number of seconds" if kind is float else WORDS[kind])
    return text


def number(kind: Callable[[str], _N], name: str, text: str, wanted: str) -> _N:
    """The number that a parameter is. UsageError for a text that is none. wanted: a number of that kind, in words."""
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{param(name)} is {text!r}; it has to be {wanted}.") from None


def detail_of(text: str) -> Detail:
    """The detail of a transcript. UsageError for a word that is none of them."""
    found = next((detail for detail in DETAILS if detail == text), None)
    if found is None:
        raise UsageError(f"{param('detail')} is {text!r}; it can be {', '.join(DETAILS)}.")
    return found


def boolean(name: str, text: str) -> bool:
    """The truth value of a parameter. UsageError where it is neither true nor false."""
    if text.lower() not in _BOOLEANS:
        raise UsageError(f"{param(name)} is {text!r}; it is true or false.")
    return _BOOLEANS[text.lower()]
