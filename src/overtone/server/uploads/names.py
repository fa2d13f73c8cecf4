"""File names from clients, made fit to be shown. A name never becomes part of a path."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

NAMELESS = "upload"

MOST_CHARACTERS = 200
"""A name above this is cut in the middle, so that its ending is still seen."""

_KEPT_ENDING = 20

_ENCODED = re.compile(r"""filename\*\s*=\s*"?(utf-8|iso-8859-1)'[\w-]*'([^;\s"]*)""", re.IGNORECASE)


def sanitize_filename(name: str) -> str:
    """The last component of a path of any system, without control characters and not too long."""
    parts = [part for part in re.split(r"[/\\]", name) if part.strip() not in ("", ".", "..")]
    last = "".join("_" if _disturbs(character) else character for character in parts[-1].strip()) if parts else NAMELESS
    if len(last) <= MOST_CHARACTERS:
        return last
    return last[: MOST_CHARACTERS - _KEPT_ENDING - 1] + "…" + last[-_KEPT_ENDING:]


def _disturbs(character: str) -> bool:
    """True if it would do something to a terminal or a page, or cannot be written as UTF-8."""
    # Of the invisible ones only those that turn text around; joiners belong to words and pictures.
    turns = unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return turns or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def text_of(raw: bytes) -> str:
    """Text of a header: UTF-8 as today's clients write it, else Latin-1, which takes anything."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def encoded_name(disposition: str) -> str | None:
    """The file's name in a Content-Disposition that has it as `filename*` (RFC 5987); None if it does not.

    RFC 7578 forbids that form in multipart bodies, and older clients use it all the same for names beyond ASCII.
    """
    match = _ENCODED.search(disposition)
    return unquote(match[2], encoding=match[1], errors="replace") if match else None
