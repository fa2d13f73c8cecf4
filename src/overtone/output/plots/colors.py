"""The look of an emotion, its color and its short name, and the color of a stage: the same in every picture."""

from __future__ import annotations

import zlib

from overtone.system.profiler import Stage
from overtone.types import SILENCE

COLOURS = {
    "angry": "#D55E00",
    "happy": "#F0B400",
    "sad": "#0072B2",
    "fearful": "#CC79A7",
    "disgusted": "#009E73",
    "surprised": "#56B4E9",
    "neutral": "#C9CDD3",
    "bored": "#6B4C9A",
    "calm": "#A8D5BA",
    "contempt": "#7A3B2E",
    "other": "#A98F62",
    "unk": "#5A5A5A",
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


def colour_of(label: str) -> str:
    """The color of an emotion, the same in every picture; grey for silence."""
    name = short_label(label).strip("<> ").lower()
    name = _SAME.get(name, name)
    if name == SILENCE:
        return "#E4E4E4"
    return COLOURS.get(name) or _OTHERS[zlib.crc32(name.encode("utf-8", "replace")) % len(_OTHERS)]


def short_label(label: str) -> str:
    """`angry` for the published `生气/angry`."""
    return label.rsplit("/", 1)[-1].strip() or label
