"""FunASR's `hotword`: words with blanks between them, or a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overtone.errors import UsageError


def hotwords_of(hotword: Any) -> tuple[str, ...]:
    """The hot words of a text, or of a `.txt` with one, which may have blanks, a line.

    UsageError for anything else, and for a file that cannot be read.
    """
    if hotword is None:
        return ()
    if not isinstance(hotword, str):
        raise UsageError(f"hotword={hotword!r}: text with a blank between two words is meant, or a .txt file.")
    if hotword.startswith(("http://", "https://")):
        raise UsageError(f"hotword={hotword!r}: a list is not fetched here; give the path of a .txt file.")
    if not hotword.endswith(".txt"):
        return tuple(hotword.split())
    try:
        lines = Path(hotword).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"hotword={hotword!r} cannot be read ({error}).") from error
    return tuple(" ".join(line.split()) for line in lines if line.strip())
