"""The look of an emotion, its color and its short name, and the color of a stage: the same in every picture."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from overtone.results import SILENCE
from overtone.system.profiler import Stage


class EmotionColor(NamedTuple):
    """Colors of an emotion: `drawn` in pictures, as `#rrggbb`, and `terminal`, by a name that every terminal has."""

    drawn: str
    terminal: str = "white"


COLORS = {
    "angry": EmotionColor("#D55E00", "red"),
    "happy": EmotionColor("#F0B400", "yellow"),
    "sad": EmotionColor("#0072B2", "blue"),
    "fearful": EmotionColor("#CC79A7", "magenta"),
    "disgusted": EmotionColor("#009E73", "green"),
    "surprised": EmotionColor("#56B4E9", "cyan"),
    "neutral": EmotionColor("#C9CDD3"),
    "bored": EmotionColor("#6B4C9A"),
    "calm": EmotionColor("#A8D5BA"),
    "contempt": EmotionColor("#7A3B2E"),
    "other": EmotionColor("#A98F62"),
    "unk": EmotionColor("#5A5A5A"),
    SILENCE: EmotionColor("#E4E4E4", "bright_black"),
}
"""One color per emotion in every picture, distinct with any common color vision (after Okabe and Ito)."""

STAGE_COLOURS: dict[Stage, str] = {
    "decode": "#56B4E9",
    "cut": "#009E73",
    "wait": "#DDDDDD",
    "batch": "#F0B400",
    "run": "#0072B2",
    "merge": "#CC79A7",
    "write": "#D55E00",
    "idle": "#F1F1F1",
}
"""Of the same set; what only waits is grey."""

_SAME = {
    "anger": "angry", "happiness": "happy", "joy": "happy", "sadness": "sad", "fear": "fearful",
    "disgust": "disgusted", "surprise": "surprised", "boredom": "bored", "unknown": "unk",
}  # fmt: skip
_OTHERS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#882255", "#AA4499", "#999933", "#661100")


def color_of(label: str) -> str:
    """The color of an emotion, the same in every picture; grey for silence."""
    name = short_label(label).strip("<> ").lower()
    name = _SAME.get(name, name)
    if name in COLORS:
        return COLORS[name].drawn
    return _OTHERS[zlib.crc32(name.encode("utf-8", "replace")) % len(_OTHERS)]


def terminal_color(label: str) -> str:
    """The color of an emotion at a terminal; white for one that has none, and for a published label."""
    return COLORS[label].terminal if label in COLORS else "white"


def short_label(label: str) -> str:
    """`angry` for the published `生气/angry`."""
    return label.rsplit("/", 1)[-1].strip() or label
