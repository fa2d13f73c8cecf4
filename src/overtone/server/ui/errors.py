"""What went wrong, as a person reads it: in their language, with what to do, and nothing of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from overtone.errors import Code, InputError, OvertoneError, RefusedError
from overtone.server.ui.texts import Language, span, text
from overtone.system.memory import format_size
from overtone.wording import worded

TOLD = frozenset({
    "too_long", "too_large", "busy", "not_audio", "no_audio", "empty", "too_short", "deadline", "not_ready",
    "no_space", "upload_timeout", "lost", "unauthorized", "expired",
})  # fmt: skip
"""Codes that have a text of their own in every language; of others the error's own message is shown."""

_BUSY_S = 30.0
"""When to ask again, where nobody can tell."""


_FIELDS = {"max_segment": "max_segment", "window": "window_s", "hop": "hop_s", "num_speakers": "num_speakers"}
"""Labels of the page's fields, by the options that they set."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What messages name: most bytes of an upload, most seconds of audio, and most files at once."""

    most_bytes: int
    most_audio_s: float
    most_files: int

    def size(self) -> str:
        """The bytes, as people write them."""
        return format_size(self.most_bytes)


def lost() -> RefusedError:
    """An upload that never came."""
    return RefusedError("the upload did not arrive.", code=Code.LOST)


def explained(error: BaseException, name: str, limits: Limits, language: Language) -> str:
    """What to tell of an error with the file `name`, which stands beside it already."""
    if not isinstance(error, OvertoneError):
        return text(language, "fault")
    if error.code in TOLD:
        retry_s = error.retry_after_s if isinstance(error, RefusedError) else None
        return text(
            language,
            error.code,
            size=limits.size(),
            length=span(language, limits.most_audio_s),
            time=span(language, _BUSY_S if retry_s is None else retry_s),
        )
    if isinstance(error, InputError) and error.code == Code.FAULT:
        return text(language, "fault")
    message = _worded(error.template.removeprefix(f"{name}: "), language)
    return text(language, "other", message=message[:1].upper() + message[1:])


def _worded(message: str, language: Language) -> str:
    """A message with the names of fields where a command line has its flags."""
    labels = {option: f"“{text(language, field)}”" for option, field in _FIELDS.items()}
    return worded(message, "http", labels)
