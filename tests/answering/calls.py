"""What is asked of the package from Python: its public names and the recognizers; of `AutoModel`, see `compat`.

Run in a process of its own, in a place, by `answers.py call`.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import overtone
from answering import compat
from answering.notes import CALL, ENGLISH, JOINED, MANDARIN, SAD, How, Notes
from answering.place import RATE, read
from answering.running import RECOGNIZERS
from overtone import Audio, EmotionRecognizer, Options, TranscribeOptions, Transcriber, expand
from overtone.compat import AutoModel, rich_transcription_postprocess


def names(notes: Notes) -> None:
    """The public names: fields, defaults, parameters, errors, and what inputs are found."""
    notes.note("names", sorted(overtone.__all__))
    for name in sorted(set(overtone.__all__) - {"__version__"}):
        named = getattr(overtone, name)
        if dataclasses.is_dataclass(named):
            notes.note(name, [f"{field.name} = {_default(field)}" for field in dataclasses.fields(named)])
        elif isinstance(named, type) and issubclass(named, overtone.OvertoneError):
            above = [kind.__name__ for kind in named.__mro__]
            notes.note(name, [*above, named("text").code, named("text", code="mine").code, named.exit_code])
    for kind in (EmotionRecognizer, Transcriber, AutoModel):
        for method in ("__init__", "__call__", "each", "stream", "live", "generate", "close"):
            if hasattr(kind, method):
                notes.note(f"{kind.__name__}.{method}", _parameters(getattr(kind, method)))
    notes.note("expand's parameters", _parameters(expand))
    notes.note("rich_transcription_postprocess's parameters", _parameters(rich_transcription_postprocess))
    inputs = ["clips", "examples", "@made/list.txt", "made/wav.scp", "made/wrong.scp", "none", "-", "settings", SAD]
    notes.note("expand", list(expand(inputs)))


def _default(field: dataclasses.Field[Any]) -> str:
    return "…" if field.default is dataclasses.MISSING else repr(field.default)


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Names, kinds and defaults; what annotations are called is no answer."""
    parameters = inspect.signature(function).parameters.values()
    return [f"{one.kind.name} {one.name} = {_of(one)}" for one in parameters]


def _of(parameter: inspect.Parameter) -> str:
    return "…" if parameter.default is inspect.Parameter.empty else repr(parameter.default)


WRONG_OPTIONS: tuple[How, ...] = (
    {"model": 1},
    {"segment": "phrase"},
    {"hop": 5.0},
    {"memory": "much"},
    {"threads": True},
    {"max_segment": float("nan")},
    {"granularity": "frame"},
    {"speakers": True, "num_speakers": 1000},
    {"merge_length_s": 90.0, "vad": "fsmn-vad"},
)


def options(notes: Notes) -> None:
    """Options, and what is wrong with them."""
    kinds: tuple[type[Options], ...] = (Options, TranscribeOptions)
    for kind in kinds:
        notes.ask(kind.__name__, kind)
        for wrong in WRONG_OPTIONS:
            notes.ask(f"{kind.__name__} {wrong}", kind, **wrong)
        notes.ask("replaced", kind().replace, max_segment=9.0)
        notes.ask("replaced wrongly", kind().replace, max_segmnt=9.0)
        notes.ask("for a call", kind().for_call, channels="split")
        notes.ask("not for a call", kind().for_call, model="tiny")
        notes.ask("too long for a call", kind().for_call, max_segment=99.0)


def sources() -> dict[str, Any]:
    """Audio in every form that a call takes, new each time: a file is read once."""
    samples = read(Path(ENGLISH))
    return {
        "path": SAD,
        "other path": Path(CALL),
        "bytes": Path(CALL).read_bytes(),
        "file": io.BytesIO(Path(SAD).read_bytes()),
        "samples": Audio(samples, RATE),
        "samples at another rate": Audio(samples[:40_000].astype(np.float64), 22_050, "mine"),
        "channels": Audio(np.stack([samples[:40_000], samples[40_000:80_000]]), RATE),
        "silence": Audio(np.zeros(RATE, np.float32), RATE),
        "too little": Audio(np.zeros(10, np.float32), RATE),
        "no samples": Audio(np.zeros(0, np.float32), RATE),
        "bad samples": Audio(np.full(RATE, np.nan, np.float32), RATE),
        "bad rate": Audio(samples, 10),
        "nothing there": "none.wav",
        "no audio": "made/list.txt",
    }


def emotion(notes: Notes) -> None:
    """An `EmotionRecognizer` of the bundled model."""
    with EmotionRecognizer("tiny") as recognizer:
        notes.note("labels", recognizer.labels)
        notes.note("options", recognizer.options)
        for granularity in ("utterance", "segment", "frame"):
            for name, source in sources().items():
                notes.ask(f"{granularity} of {name}", recognizer, source, granularity=granularity)
        hows: tuple[How, ...] = (
            *({"segment": "window", "window": 2.0, "hop": 0.5}, {"labels": "published"}, {"max_segment": 4.0}),
            *({"channels": "split"}, {"segment": "none"}, {"window": 60.0, "segment": "window"}, {"x": 1}),
        )
        for how in hows:
            notes.ask(f"{how}", recognizer, CALL, **how)
        notes.ask("each channel", recognizer.results_for, CALL, channels="split", envelope=True)
        some = ["none.wav", SAD, Audio(np.zeros(RATE), RATE), "made/empty.txt", CALL]
        notes.ask("stream", _all, recognizer.stream, some, granularity="utterance")
        notes.ask("stream of inputs", _all, recognizer.stream, expand(["made/wav.scp"]), channels="split")
        for how in ({}, {"hop": 0.5, "window": 2.0, "granularity": "frame"}, {"hop": 0.01}, {"window": 60.0}):
            notes.ask(f"live {how}", _all, _live, recognizer, **how)
    for wrong in ({"model": "nobody-knows"}, {"device": "cuda:7"}, {"precision": "fp16"}, {"nope": 1}):
        notes.ask(f"made with {wrong}", EmotionRecognizer, **wrong)
    with EmotionRecognizer("tiny", context="full", keep_silence=True) as recognizer:
        notes.ask("whole", recognizer, CALL, granularity="frame")


def _all(call: Callable[..., Iterator[object]], *given: Any, **named: Any) -> list[object]:
    return list(call(*given, **named))


def _live(recognizer: EmotionRecognizer, **how: Any) -> Iterator[object]:
    samples = np.concatenate([read(Path(ENGLISH)), np.zeros(2 * RATE, np.float32)])
    live = recognizer.live(name="speech", **how)
    for start in range(0, len(samples), 7_001):
        for moment in live.push(samples[start : start + 7_001]):
            yield live.poll(moment)
    yield live.finish()


def emotion_models(notes: Notes) -> None:
    """The same of checkpoints, with classes and without, on both backends."""
    hows: tuple[How, ...] = ({}, {"granularity": "frame", "segment": "window"})
    for model in ("emotion2vec", "emotion2vec-base"):
        for backend in ("openvino", "torch"):
            with EmotionRecognizer(f"models/{model}", backend=backend) as recognizer:
                notes.note(f"{model} labels", recognizer.labels)
                for source in (SAD, CALL, JOINED):
                    for how in hows:
                        notes.ask(f"{model} {backend} {source} {how}", recognizer, source, **how)


BESIDE: How = {"vad": "models/fsmn-vad", "speakers": True, "speaker_model": "models/campplus", "emotion": "tiny"}


def transcribe(notes: Notes) -> None:
    """A `Transcriber` of a SenseVoice."""
    with Transcriber("models/sensevoice", **BESIDE) as transcriber:
        notes.note("models", transcriber.models)
        notes.note("options", transcriber.options)
        for name, source in sources().items():
            notes.ask(name, transcriber, source)
        hows: tuple[How, ...] = (
            *({"language": "zh"}, {"language": "yue"}, {"language": "ko"}, {"itn": False}, {"num_speakers": 2}),
            *({"max_segment": 6.0}, {"hotwords": "a"}, {"segment": "none"}, {"channels": "split"}, {"x": 1}),
        )
        for how in hows:
            notes.ask(f"{how}", transcriber, JOINED, **how)
        notes.ask("each channel", transcriber.results_for, "made/talkers.wav", channels="split")
        notes.ask("stream", _all, transcriber.stream, ["none.wav", JOINED, MANDARIN])
    wrongs: tuple[How, ...] = ({}, {"model": "tiny"}, {"model": "models/fsmn-vad"}, {"window": 3.0}, {"nope": 1})
    for wrong in wrongs:
        notes.ask(f"made with {wrong}", Transcriber, **wrong)


def transcribe_paraformers(notes: Notes) -> None:
    """A `Transcriber` of each Paraformer."""
    for name in ("plain", "bicif", "seaco"):
        model = f"models/paraformer-{name}"
        with Transcriber(model, **BESIDE, punctuation="models/ct-transformer") as transcriber:
            for source in (JOINED, MANDARIN, ENGLISH, CALL):
                notes.ask(f"{name} {source}", transcriber, source)
            notes.ask(f"{name} hot words", transcriber, ENGLISH, hotwords="sensible dashwood")


GROUPS: dict[str, Callable[[Notes], None]] = {
    **{f"compat-{name}": partial(compat.recognition, name) for name in RECOGNIZERS},
    "compat-inputs": compat.inputs,
    "compat-emotion": compat.emotion,
    "compat-speech": compat.speech,
    "compat-marks-and-voices": compat.marks_and_voices,
    "transcribe": transcribe,
    "transcribe-paraformers": transcribe_paraformers,
    "emotion": emotion,
    "emotion-models": emotion_models,
    "options": options,
    "names": names,
}


WITHOUT_CHECKPOINTS = ("emotion", "options", "names")


def answers(group: str) -> str:
    """What comes of a group of calls, in the current folder."""
    notes = Notes()
    GROUPS[group](notes)
    return "\n".join(notes.lines) + "\n"
