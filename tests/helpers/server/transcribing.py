"""A service that writes down what is said, with a recognizer of random weights."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.oracles import paraformer, sense_voice
from helpers.server.running import Running, serving


@contextlib.contextmanager
def transcribing(folder: Path, *, recognizer: str = "SenseVoiceSmall", **given: Any) -> Iterator[Running]:
    """Run one while the block runs. recognizer: the class of its network."""
    checkpoint = folder / recognizer
    if not checkpoint.exists():
        if recognizer == "SenseVoiceSmall":
            sense_voice.publish(checkpoint)
        else:
            paraformer.publish(checkpoint, kind=recognizer)  # type: ignore[arg-type]  # a word from a test
    with serving(folder, transcriber=str(checkpoint), **given) as running:
        yield running


@contextlib.contextmanager
def environment(**named: str) -> Iterator[None]:
    """Variables of the environment while the block runs."""
    before = {name: os.environ.get(name) for name in named}
    os.environ.update(named)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
