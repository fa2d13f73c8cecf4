"""Options checked by their type hints, whoever gave them."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from overtone.errors import UsageError
from overtone.system.documents import shown
from overtone.wording import param

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


_NAME = 100
"""Characters of a name that are compared with those of the options."""


def option(default: Any, help: str, *, range: tuple[float, float] | None = None, emotion_only: bool = False) -> Any:
    """A dataclass field with its line of `--help` and the least and greatest value that is possible.

    emotion_only: transcription, which has the options of emotion too, refuses it.
    """
    return dataclasses.field(default=default, metadata={"help": help, "range": range, "emotion_only": emotion_only})


def emotion_only(settings: type[DataclassInstance]) -> tuple[str, ...]:
    """Names of the options that transcription refuses, in order."""
    return tuple(field.name for field in dataclasses.fields(settings) if field.metadata.get("emotion_only"))


def help_of(settings: type[DataclassInstance]) -> dict[str, str]:
    """The line of `--help` of each field."""
    return {field.name: field.metadata["help"] for field in dataclasses.fields(settings)}


def check_ranges(settings: DataclassInstance) -> None:
    """UsageError for the first value of a dataclass that is out of its field's range; None is in any."""
    for field in dataclasses.fields(settings):
        bounds, value = field.metadata.get("range"), getattr(settings, field.name)
        if bounds is not None and value is not None and not bounds[0] <= value <= bounds[1]:
            found = f"{value:g}" if isinstance(value, float) else shown(value)  # an integer may be beyond any float
            raise UsageError(f"{param(field.name)} is {found}; {bounds[0]:g} to {bounds[1]:g} is possible.")


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """UsageError for the first name that is no option, with the nearest one that is."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name[:_NAME], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the options are: {', '.join(known)}."
            raise UsageError(f"there is no option {shown(name)}; {hint}")


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Values that an option's type allows: the types of a union, the words of a literal, None among them where it is
    optional."""
    parts = get_args(hint)
    return tuple(kind for part in parts for kind in kinds_of(part)) if parts else (hint,)


WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
"""Names of types in messages."""


_hints = functools.cache(get_type_hints)


def check_types(settings: DataclassInstance) -> None:
    """UsageError for the first value of a dataclass that is not of its field's type; named as whoever sets it does."""
    hints = _hints(type(settings))
    for field in dataclasses.fields(settings):
        _check_type(field.name, getattr(settings, field.name), hints[field.name])


def _check_type(name: str, value: Any, hint: Any) -> None:
    kinds = kinds_of(hint)
    choices = [kind for kind in kinds if isinstance(kind, str)]
    if choices:
        if value not in choices and not (value is None and type(None) in kinds):
            raise UsageError(f"{param(name)} is {shown(value)}; it can be {', '.join(choices)}.")
        return
    allowed: tuple[Any, ...] = (*kinds, int) if float in kinds else kinds
    is_bool_by_mistake = isinstance(value, bool) and bool not in kinds
    if is_bool_by_mistake or not isinstance(value, allowed):
        wanted = " or ".join(WORDS[kind] for kind in kinds if kind is not type(None))
        raise UsageError(f"{param(name)} is {shown(value)}; it has to be {wanted}.")
    if isinstance(value, float) and math.isnan(value):
        raise UsageError(f"{param(name)} is not a number.")


def parse(text: str, hint: Any) -> Any:
    """The value of a field's type that a text stands for. ValueError says what it has to be.

    The words of a literal are not checked; `check_types` does that of the whole dataclass.
    """
    kinds = kinds_of(hint)
    if bool in kinds:
        if text.lower() not in ("0", "1", "true", "false"):
            raise ValueError("write 1 or 0.")
        return text.lower() in ("1", "true")
    if str in kinds or any(isinstance(kind, str) for kind in kinds):
        return text
    kind = int if int in kinds else float
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"it has to be {WORDS[kind]}.") from None
