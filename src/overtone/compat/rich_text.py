"""SenseVoice's tags as pictures, as FunASR's `rich_transcription_postprocess` shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_EMOTIONS: Mapping[str, str] = {
    "<|HAPPY|>": "😊",
    "<|SAD|>": "😔",
    "<|ANGRY|>": "😡",
    "<|NEUTRAL|>": "",
    "<|FEARFUL|>": "😰",
    "<|DISGUSTED|>": "🤢",
    "<|SURPRISED|>": "😮",
}

_EVENTS: Mapping[str, str] = {
    "<|BGM|>": "🎼",
    "<|Speech|>": "",
    "<|Applause|>": "👏",
    "<|Laughter|>": "😀",
    "<|Cry|>": "😭",
    "<|Sneeze|>": "🤧",
    "<|Breath|>": "",
    "<|Cough|>": "🤧",
}

_HIDDEN = (
    "<|EMO_UNKNOWN|>",
    "<|Sing|>",
    "<|Speech_Noise|>",
    "<|withitn|>",
    "<|woitn|>",
    "<|GBG|>",
    "<|Event_UNK|>",
)

_NOTHING = "<|nospeech|><|Event_UNK|>"
_LANGUAGES = re.compile(r"<\|(?:zh|en|yue|ja|ko|nospeech|lang)\|>")
_TAGS = re.compile("|".join(re.escape(tag) for tag in (*_EMOTIONS, *_EVENTS, *_HIDDEN)))
_FACES = frozenset(filter(None, _EMOTIONS.values()))
_SOUNDS = frozenset(filter(None, _EVENTS.values())) | {"😷"}
_BESIDE = re.compile(f" ?([{''.join(sorted(_FACES | _SOUNDS))}]) ?")


def rich_transcription_postprocess(s: str) -> str:
    """A SenseVoice's `text` for people to read.

    Events are shown as pictures before the words, the mood after them, and neither twice where the words that follow
    have the same.

    Parameters
    ----------
    s
        Text with tags, as `AutoModel.generate` gives it.

    Returns
    -------
    str
        The text with pictures in the place of its tags.

    Examples
    --------
    >>> from overtone.compat import rich_transcription_postprocess
    >>> rich_transcription_postprocess("<|en|><|HAPPY|><|Laughter|><|withitn|>Good morning.")
    '😀Good morning.😊'
    """
    first, *others = (_shown(part) for part in _LANGUAGES.split(s.replace(_NOTHING, "❓")))
    text, event = " " + first, None  # what the first one begins with does not count
    for part in others:
        rest = part[1:] if part and part[0] in _SOUNDS and part[0] == event else part
        if not rest:
            continue
        event = rest[0] if rest[0] in _SOUNDS else None
        if rest[-1] in _FACES and rest[-1] == text[-1]:
            text = text[:-1]
        text += rest.strip()
    return text.replace("The.", " ").strip()


def _shown(part: str) -> str:
    """The words in one language, with the mood that is tagged most often and every event."""
    tags = _TAGS.findall(part)
    text = _TAGS.sub("", part)
    mood = max(("<|NEUTRAL|>", *_EMOTIONS), key=tags.count)
    for tag, picture in _EVENTS.items():
        if tag in tags:
            text = picture + text
    return _BESIDE.sub(r"\1", text + _EMOTIONS[mood]).strip()
