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

__version__ = "0.2.0"

_HOMES = {
    "Audio": "types",
    "BudgetError": "errors",
    "CheckpointError": "errors",
    "Code": "errors",
    "DeviceError": "errors",
    "DownloadError": "errors",
    "Emotion": "results",
    "EmotionRecognizer": "pipelines.emotion",
    "EmotionResult": "results",
    "FailedInput": "audio.inputs",
    "FrameResult": "results",
    "Input": "audio.inputs",
    "InputError": "errors",
    "LiveSession": "pipelines.live",
    "LiveUpdate": "pipelines.live",
    "ModelError": "errors",
    "Options": "options.emotion",
    "OutOfMemory": "errors",
    "OvertoneError": "errors",
    "RefusedError": "errors",
    "RequestContext": "pipelines.request",
    "Result": "results",
    "SegmentResult": "results",
    "Sentence": "results",
    "Span": "types",
    "SpooledArray": "system.spooled_array",
    "Timings": "results",
    "TranscribeOptions": "options.transcription",
    "Transcriber": "pipelines.transcription",
    "Transcript": "results",
    "UsageError": "errors",
    "Word": "results",
    "expand": "audio.inputs",
}

__all__ = [*sorted(_HOMES), "__version__"]  # noqa: PLE0604 - every name in it is a string

if TYPE_CHECKING:
    from overtone.audio.inputs import FailedInput as FailedInput
    from overtone.audio.inputs import Input as Input
    from overtone.audio.inputs import expand as expand
    from overtone.errors import BudgetError as BudgetError
    from overtone.errors import CheckpointError as CheckpointError
    from overtone.errors import Code as Code
    from overtone.errors import DeviceError as DeviceError
    from overtone.errors import DownloadError as DownloadError
    from overtone.errors import InputError as InputError
    from overtone.errors import ModelError as ModelError
    from overtone.errors import OutOfMemory as OutOfMemory
    from overtone.errors import OvertoneError as OvertoneError
    from overtone.errors import RefusedError as RefusedError
    from overtone.errors import UsageError as UsageError
    from overtone.options.emotion import Options as Options
    from overtone.options.transcription import TranscribeOptions as TranscribeOptions
    from overtone.pipelines.emotion import EmotionRecognizer as EmotionRecognizer
    from overtone.pipelines.live import LiveSession as LiveSession
    from overtone.pipelines.live import LiveUpdate as LiveUpdate
    from overtone.pipelines.request import RequestContext as RequestContext
    from overtone.pipelines.transcription import Transcriber as Transcriber
    from overtone.results import Emotion as Emotion
    from overtone.results import EmotionResult as EmotionResult
    from overtone.results import FrameResult as FrameResult
    from overtone.results import Result as Result
    from overtone.results import SegmentResult as SegmentResult
    from overtone.results import Sentence as Sentence
    from overtone.results import Timings as Timings
    from overtone.results import Transcript as Transcript
    from overtone.results import Word as Word
    from overtone.system.spooled_array import SpooledArray as SpooledArray
    from overtone.types import Audio as Audio
    from overtone.types import Span as Span


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'overtone' has no attribute {name!r}")
    value = getattr(import_module(f"overtone.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
