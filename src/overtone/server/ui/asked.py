"""What a browser tells and asks for. Nothing of it is trusted: what the page would not send is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overtone.server.ui.texts import LANGUAGES, Language
from overtone.server.uploads.names import sanitize_filename

_UNUSED = {"vad": ("window", "hop"), "window": ("max_segment",)}
"""Options that mean nothing for a way of cutting, and may stand on the page from before."""

_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Facts:
    """What a browser says of itself. language: that was chosen in it before. names: of the files in its list."""

    language: Language | None = None
    dark: bool = False
    touched: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: Any) -> Facts:
        """From the JSON that the script of the page makes."""
        try:
            told = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            return cls()
        if not isinstance(told, dict):
            return cls()
        language, names = told.get("language"), told.get("files")
        return cls(
            language if language in LANGUAGES else None,
            told.get("dark") is True,
            told.get("touched") is True,
            tuple(sanitize_filename(name) for name in names if isinstance(name, str))
            if isinstance(names, list)
            else (),
        )


def options_given(values: Mapping[str, Any]) -> dict[str, str]:
    """The options that were filled in, as text, as requests have them."""
    unused = _UNUSED.get(str(values.get("segment")), ())
    return {name: str(value) for name, value in values.items() if value not in (None, "") and name not in unused}


def place_of(told: Any) -> tuple[int, int]:
    """File and place of a result, as a button of the table names them: `3.0`. (-1, 0) for anything else."""
    at, _, place = str(told.get("place") if isinstance(told, dict) else None).partition(".")
    whole = all(part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS for part in (at, place))
    return (int(at), int(place)) if whole else (-1, 0)
