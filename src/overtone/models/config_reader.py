"""Values of published `config.yaml` files, each checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from overtone.errors import CheckpointError
from overtone.system.documents import shown

T = TypeVar("T")

_LARGEST = 1 << 16
"""Limit of integers. Published ones are far below it; a config that asks for more than this is broken or hostile."""

_BELOW = 1e6
"""Limit of other numbers, for the same reason."""

MOST_LAYERS = 256
"""Layers of one kind. Published networks have up to 50; the memory of each that is built is some 0.1 MB before any
weight, and its time a few milliseconds."""

_ABSENT: Any = object()


class ConfigReader:
    """Checked values of a `config.yaml` or of one section of it.

    CheckpointError, with the checkpoint's name, the key and the value, for one that is not possible.

    - `values`: the mapping. CheckpointError for anything else.
    - `name`: of the checkpoint.
    - `section`: its key, empty for the whole file.
    - `largest`: limit of integers that are read without `most`.
    - `wrong`: template of the message about a value's type or range, with `key`, `found` (as `shown` gives it) and
      `meant`.
    - `no_mapping`: message about `values` that are no mapping, if not the usual one.
    """

    def __init__(
        self,
        values: Any,
        name: str,
        section: str = "",
        *,
        largest: int = _LARGEST,
        wrong: str = "{key} is {found}, not {meant}.",
        no_mapping: str | None = None,
    ) -> None:
        self._values, self._name, self._section, self._largest, self._wrong = values, name, section, largest, wrong
        if not isinstance(values, Mapping):
            where = f"{section} in config.yaml" if section else "config.yaml"
            raise CheckpointError(f"{name}: {no_mapping or f'{where} is not a mapping.'}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it stands, of whatever type."""
        return self._values.get(key, default)

    def only(self, key: str, *known: Any, absent: Any = _ABSENT) -> None:
        """Refuse values other than those known. absent: the value of a missing key, if not the first one known."""
        found = self.get(key, known[0] if absent is _ABSENT else absent)
        # True is 1 to Python, and no number here.
        if not any(found == value and isinstance(found, bool) == isinstance(value, bool) for value in known):
            raise self.error(key, found, f"; only {known[0]!r} is known.")

    def typed(self, key: str, kind: type[T] | tuple[type[T], ...], default: T | None = None) -> T:
        """A value of `kind`, or of several kinds of numbers. Never None, and a bool only where `bool` is asked for."""
        found = self.get(key, default)
        if isinstance(found, kind) and (kind is bool or not isinstance(found, bool)):
            return found
        raise self._refusal(key, found, getattr(kind, "__name__", "number"))

    def integer(
        self, key: str, default: int | None = None, *, least: int = 1, most: int | None = None, meant: str = ""
    ) -> int:
        """An integer from `least` to `most`, or else to the reader's `largest`, which the message leaves out.

        meant: what the message calls the value that is possible, if not a number in that range.
        """
        found, limit = self.get(key, default), self._largest if most is None else most
        if isinstance(found, int) and not isinstance(found, bool) and least <= found <= limit:
            return found
        meant = meant or (f"a number of at least {least}" if most is None else f"a number from {least} to {most}")
        raise self._refusal(key, found, meant)

    def number(
        self, key: str, default: float | None = None, *, least: float = 0.0, most: float | None = None, meant: str = ""
    ) -> float:
        """A number from `least` to `most`, or else below a million, which the message leaves out.

        meant: what the message calls the number that is possible, if not one in that range.
        """
        found = self.get(key, default)
        fits = isinstance(found, int | float) and not isinstance(found, bool) and least <= found < _BELOW
        if fits and (most is None or found <= most):
            return float(found)
        meant = meant or (f"a number of {least:g} or more" if most is None else f"a number from {least:g} to {most:g}")
        raise self._refusal(key, found, meant)

    def error(self, key: str, found: Any, why: str) -> CheckpointError:
        """An error to raise, whose message is the key, its value, and after them `why` as it is given."""
        return CheckpointError(f"{self._name}: {self._label(key)} is {shown(found)}{why}")

    def _refusal(self, key: str, found: Any, meant: str) -> CheckpointError:
        sentence = self._wrong.format(key=self._label(key), found=shown(found), meant=meant)
        return CheckpointError(f"{self._name}: {sentence}")

    def _label(self, key: str) -> str:
        return f"{self._section}.{key}" if self._section else f"{key} in config.yaml"
