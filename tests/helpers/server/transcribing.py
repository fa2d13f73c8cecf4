"""A service that writes down what is said, with a recognizer of random weights."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.converting import converting_here
from helpers.oracles import paraformer, sense_voice
from helpers.server.running import Running, serving


@functools.cache
def recognizer_of(kind: str = "SenseVoiceSmall") -> Path:
    """A checkpoint that services share, which change nothing in it: made once, and so converted once.

    kind: the class of its network.
    """
    place = tempfile.mkdtemp(prefix="recognizer-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = Path(place) / kind
    if kind == "SenseVoiceSmall":
        return sense_voice.publish(folder)
    return paraformer.publish(folder, kind=kind)  # type: ignore[arg-type]  # a word from a test


@contextlib.contextmanager
def transcribing(folder: Path, *, recognizer: str = "SenseVoiceSmall", **given: Any) -> Iterator[Running]:
    """Run one while the block runs. recognizer: the class of its network."""
    checkpoint = recognizer_of(recognizer)
    with converting_here(), serving(folder, transcriber=str(checkpoint), **given) as running:
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
