"""Tags that SenseVoice writes beside words: `<|zh|><|HAPPY|><|Speech|><|withitn|>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LANGUAGES = ("zh", "en", "yue", "ja", "ko")

_EMOTIONS: Mapping[str, str] = {
    "HAPPY": "happy",
    "SAD": "sad",
    "ANGRY": "angry",
    "NEUTRAL": "neutral",
    "FEARFUL": "fearful",
    "DISGUSTED": "disgusted",
    "SURPRISED": "surprised",
}

_NO_EVENT = ("Speech", "Event_UNK", "nospeech", "SPECIAL_TOKEN", "withitn", "woitn", "EMO_UNKNOWN")


@dataclass(frozen=True, slots=True)
class RichTags:
    """The tags of one segment, by kind; None for a kind that is missing."""

    language: str | None = None
    emotion: str | None = None
    event: str | None = None


def parse_tags(tags: Sequence[str]) -> RichTags:
    """Read tags in whatever order they come; one that is none of the others is an event."""
    language = emotion = event = None
    for tag in tags:
        word = tag.removeprefix("<|").removesuffix("|>")
        if word in _LANGUAGES:
            language = word
        elif word in _EMOTIONS:
            emotion = _EMOTIONS[word]
        elif word not in _NO_EVENT and tag.startswith("<|"):
            event = word
    return RichTags(language, emotion, event)
