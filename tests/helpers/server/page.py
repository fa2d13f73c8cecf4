"""What tests of several modules of the page need: a run as a table sees it, a waveform, and what is left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers.server.loops import until
from overtone.results import Emotion, Sentence, Timings, Transcript, Word
from overtone.server.inference.request import InferenceRequest
from overtone.server.ui.errors import Limits
from overtone.server.ui.markup import Around
from overtone.server.ui.run import Row, Run, Verdict
from overtone.server.uploads import Spool

LIMITS = Limits(256 << 20, 900.0, 100)
HOSTILE = "<img src=x onerror=alert(1)>\"'&${1}{{2}}.wav"


def left(spool: Spool) -> list[str]:
    return [path.name for path in spool.path.glob("upload-*")]


def wave(rows: int) -> np.ndarray:
    high = np.abs(np.sin(np.arange(rows) / 7)).astype(np.float32)
    return np.column_stack([-high, high])


def bars(figure: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["type"] == "bar" and "legendgroup" in trace]


def a_run(*rows: Row) -> Run:
    """A run as a table sees it."""
    made = object.__new__(Run)
    made.number, made.rows, made._call = 1, list(rows), InferenceRequest()
    return made


def around(**more: Any) -> Around:
    return dataclasses.replace(Around("en", LIMITS, "page/ticket/results"), **more)


def done(name: str, *verdicts: Verdict) -> Row:
    return Row(name, "done", None, 12.3, verdicts or (Verdict(None, "happy", 0.7),))


def a_transcript(**more: Any) -> Transcript:
    mood = Emotion("happy", 0.7)
    said = Sentence(0.5, 1.5, HOSTILE, (Word(HOSTILE, 0.5, 1.5, 0.9),), 0, mood, "zh", HOSTILE, 0.9)
    given = {"sentences": (said, Sentence(65.0, 66.0, "好的。", speaker=1)), "text": HOSTILE, "language": "zh", **more}
    about = {"source": HOSTILE, "duration": 70.0, "model": "m", "precision": "fp32", "device": "cpu"}
    return Transcript(**about, timings=Timings(), **given)


async def becomes(true: Callable[[], object]) -> None:
    async def now() -> object:
        return true()

    await until(now)


def needs_gradio() -> None:
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'overtone[ui]'")
