"""Results in other places: pickled, copied, as plain values, and in another process."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers.clips import EXAMPLES, voice
from helpers.command import environment
from helpers.oracles import campplus, ct_transformer, paraformer
from overtone import Audio, EmotionRecognizer, EmotionResult, Result, SpooledArray, Transcriber
from overtone.system.spooled_array import IN_MEMORY_BYTES

CALL = EXAMPLES / "call.mp3"

WAYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {n}": lambda value, n=n: pickle.loads(pickle.dumps(value, n)) for n in (2, pickle.HIGHEST_PROTOCOL)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def content(value: Any) -> Any:
    """All that is in a result, as values that can be compared; oddly named fields of it, too."""
    if isinstance(value, SpooledArray):
        return content(value.numpy())
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {f.name: content(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Exception):
        return type(value).__name__, str(value), value.__dict__
    if isinstance(value, dict):
        return {name: content(part) for name, part in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [content(part) for part in value]


@pytest.fixture(scope="module")
def results(recognizer: EmotionRecognizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """One of every kind and granularity, and one that failed."""
    root = tmp_path_factory.mktemp("models")
    found: dict[str, Result] = {
        name: recognizer(CALL, granularity=name, envelope=True) for name in ("utterance", "segment", "frame")
    }
    (found["failed"],) = recognizer.stream([str(root / "no.wav")])
    with Transcriber(
        str(paraformer.publish(root / "paraformer", kind="BiCifParaformer")),
        punctuation=str(ct_transformer.publish(root / "punctuation")),
        speakers=True,
        speaker_model=str(campplus.publish(root / "speakers")),
        emotion="tiny",
    ) as transcriber:
        found["transcript"] = transcriber(Audio(voice(12.0), 16_000))
        (found["failed transcript"],) = transcriber.stream([str(root / "no.wav")])
    return found


KINDS = ("utterance", "segment", "frame", "failed", "transcript", "failed transcript")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_content(results: dict[str, Result], kind: str, way: str) -> None:
    there = WAYS[way](results[kind])
    assert type(there) is type(results[kind])
    assert content(there) == content(results[kind])
    assert there.to_dict() == results[kind].to_dict()


def test_the_frames_lay_in_a_file(results: dict[str, Result]) -> None:
    """So that the copies above are of such."""
    whole = results["frame"]
    assert isinstance(whole, EmotionResult)
    assert whole.frames is not None
    assert len(whole.frames.embeddings) * whole.frames.embeddings.row_bytes > IN_MEMORY_BYTES


def test_copies_stand_alone(recognizer: EmotionRecognizer) -> None:
    result = recognizer(CALL, granularity="frame")
    there = pickle.loads(pickle.dumps(result))
    assert result.frames is not None
    expected = result.frames.embeddings.numpy()
    result.frames.embeddings.close()
    np.testing.assert_array_equal(there.frames.embeddings.numpy(), expected)


def test_a_pickle_is_about_as_large_as_what_is_in_it(results: dict[str, Result]) -> None:
    """No model, vocabulary or empty rows go along."""
    for kind in KINDS:
        result = results[kind]
        extra = len(pickle.dumps(result)) - len(pickle.dumps(content(result)))
        assert extra < 20_000, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_as_a_dict_of_its_fields(results: dict[str, Result], kind: str) -> None:
    fields = dataclasses.asdict(results[kind])  # type: ignore[call-overload] # a dataclass
    assert list(fields) == [field.name for field in dataclasses.fields(results[kind])]  # type: ignore[arg-type]
    assert fields["timings"] == dataclasses.asdict(results[kind].timings)
    for name in ("segments", "sentences"):
        if name in fields:
            assert content(fields[name]) == content(getattr(results[kind], name))


CHILD = """
import pickle, sys
results = pickle.load(sys.stdin.buffer)
assert "torch" not in sys.modules and "openvino" not in sys.modules
pickle.dump((results, [result.to_json() for result in results.values()]), sys.stdout.buffer)
"""


def test_results_go_to_another_process_and_back(results: dict[str, Result]) -> None:
    made = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps(results),
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    back, records = pickle.loads(made.stdout)
    assert records == [result.to_json() for result in results.values()]
    assert content(back) == content(results)
