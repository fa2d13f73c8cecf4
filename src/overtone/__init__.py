"""Overtone: the emotion and the words in speech, at any length, inside the memory it is given.

    from overtone import EmotionRecognizer

    recognizer = EmotionRecognizer("tiny", memory="2GiB")
    result = recognizer("call.mp3")
    print(result.label, result.score)

Importing this loads no model runtime and changes no global; names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Audio": "types",
    "BudgetError": "errors",
    "DeviceError": "errors",
    "Emotion": "types",
    "EmotionRecognizer": "pipelines.emotion",
    "EmotionResult": "types",
    "FailedInput": "audio.sources",
    "Input": "audio.sources",
    "InputError": "errors",
    "ModelError": "errors",
    "Options": "options.emotion",
    "OvertoneError": "errors",
    "SegmentResult": "types",
    "Sentence": "types",
    "Span": "types",
    "Timings": "types",
    "TranscribeOptions": "options.transcription",
    "Transcriber": "pipelines.transcription",
    "Transcript": "types",
    "UsageError": "errors",
    "Word": "types",
    "expand": "audio.sources",
}

__all__ = [*sorted(_HOMES), "__version__"]  # noqa: PLE0604 - every name in it is a string

if TYPE_CHECKING:
    from overtone.audio.sources import FailedInput as FailedInput
    from overtone.audio.sources import Input as Input
    from overtone.audio.sources import expand as expand
    from overtone.errors import BudgetError as BudgetError
    from overtone.errors import DeviceError as DeviceError
    from overtone.errors import InputError as InputError
    from overtone.errors import ModelError as ModelError
    from overtone.errors import OvertoneError as OvertoneError
    from overtone.errors import UsageError as UsageError
    from overtone.options.emotion import Options as Options
    from overtone.options.transcription import TranscribeOptions as TranscribeOptions
    from overtone.pipelines.emotion import EmotionRecognizer as EmotionRecognizer
    from overtone.pipelines.transcription import Transcriber as Transcriber
    from overtone.types import Audio as Audio
    from overtone.types import Emotion as Emotion
    from overtone.types import EmotionResult as EmotionResult
    from overtone.types import SegmentResult as SegmentResult
    from overtone.types import Sentence as Sentence
    from overtone.types import Span as Span
    from overtone.types import Timings as Timings
    from overtone.types import Transcript as Transcript
    from overtone.types import Word as Word


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'overtone' has no attribute {name!r}")
    value = getattr(import_module(f"overtone.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
