"""What comes of calls from Python, in order, and the audio that they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from answering.texts import described

CALL, SAD, JOINED = "examples/call.mp3", "examples/sad.wav", "made/joined.wav"
MANDARIN = "clips/speech/wenet/aishell-BAC009S0724W0121.wav"
ENGLISH = "clips/speech/wenet/librispeech-1995-1837-0001.wav"


class Notes:
    """What came of calls, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, name: str, value: object) -> None:
        """A value that is there."""
        self.lines += [f"== {name}", *described(value)]

    def ask(self, name: str, call: Callable[..., object], /, *given: Any, **named: Any) -> None:
        """What a call gives, or raises."""
        try:
            self.note(name, call(*given, **named))
        except Exception as error:  # noqa: BLE001 - what is raised is the answer
            self.note(name, error)


How = dict[str, Any]
"""Arguments of a call."""
