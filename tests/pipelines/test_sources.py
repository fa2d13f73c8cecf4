"""Sources as people have them: arrays with their rate, rows of data sets, and a single one where several belong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.clips import EXAMPLES, decoded
from overtone import Audio, EmotionRecognizer, Input, InputError, UsageError

CLIP = EXAMPLES / "angry.wav"


def samples() -> np.ndarray:
    return decoded(CLIP)


def test_every_form_of_the_same_audio_has_the_same_answer(recognizer: EmotionRecognizer) -> None:
    clip = samples()
    pcm = np.round(clip * 32_768).astype(np.int16)
    assert np.array_equal(pcm / np.float32(32_768), clip)  # so that nothing is lost
    expected = recognizer(CLIP).scores
    forms: list[Any] = [
        Audio(clip, 16_000),
        (clip, 16_000),
        (16_000, pcm),
        {"array": clip, "sampling_rate": 16_000, "path": "angry.wav"},
        {"bytes": CLIP.read_bytes(), "path": "angry.wav"},
        {"bytes": None, "path": str(CLIP)},
        Audio(np.stack([pcm, pcm], axis=1), 16_000, layout="channels_last"),
    ]
    for one in forms:
        assert recognizer(one).scores == pytest.approx(expected, abs=1e-6)
        assert recognizer.probe(one).rate == 16_000
    assert [result.scores for result in recognizer.stream(forms)] == [pytest.approx(expected, abs=1e-6) for _ in forms]


def test_results_are_named_as_the_data_set_names_its_files(recognizer: EmotionRecognizer) -> None:
    row = {"array": samples(), "sampling_rate": 16_000, "path": "clips/1.wav"}
    undecoded = {"bytes": CLIP.read_bytes(), "path": "clips/2.wav"}
    named = [result.source for result in recognizer.stream([row, undecoded, (samples(), 16_000)])]
    assert named == ["clips/1.wav", "clips/2.wav", "array"]


def test_one_that_is_none_fails_alone(recognizer: EmotionRecognizer) -> None:
    bad: list[Any] = [(samples(), 16_000), ("a", "b"), {"array": samples()}, samples(), (16_000, samples())]
    results = list(recognizer.stream(bad))
    assert [None if r.error is None else r.error.code for r in results] == [
        None, "unreadable", "unreadable", "bad_samples", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "single",
    [
        str(CLIP),
        CLIP,
        b"RIFF",
        bytearray(b"RIFF"),
        {"bytes": None, "path": str(CLIP)},
        Audio(np.zeros(16_000, np.float32), 16_000),
        np.zeros(16_000, np.float32),
        (np.zeros(16_000, np.float32), 16_000),
        (16_000, np.zeros(16_000, np.int16)),
        io.BytesIO(b"RIFF"),
        Input("a.wav", "a.wav"),
    ],
    ids=lambda single: type(single).__name__,
)
def test_a_single_source_is_not_iterated(recognizer: EmotionRecognizer, single: Any) -> None:
    """Text would be a source for each letter, an array one for each sample."""
    with pytest.raises(UsageError, match=rf"takes several sources, and this {type(single).__name__} is one"):
        recognizer.stream(single)


@pytest.mark.parametrize("other", [None, 3])
def test_what_cannot_be_iterated_is_refused(recognizer: EmotionRecognizer, other: Any) -> None:
    with pytest.raises(UsageError, match=f"not {type(other).__name__}"):
        recognizer.stream(other)


def test_pairs_of_paths_are_several_sources(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    assert [r.ok for r in recognizer.stream((str(CLIP), str(tmp_path / "no.wav")))] == [True, False]
    assert [r.ok for r in recognizer.stream(one for one in [CLIP])] == [True]
    assert list(recognizer.stream([])) == []


def test_options_are_refused_before_the_first_result_is_asked_for(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(UsageError, match="settled when the model is loaded"):
        recognizer.stream([CLIP], threads=2)


def test_live_speech_is_taken_in_the_same_forms(recognizer: EmotionRecognizer) -> None:
    clip = samples()
    pcm = np.round(clip * 32_768).astype(np.int16)
    expected = recognizer(CLIP).scores
    for form in (clip, pcm, clip.astype(np.float64)):
        session = recognizer.live(hop=1.0)
        for start in range(0, len(clip), 4000):
            session.push(form[start : start + 4000])
        assert session.finish().scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bad", [np.zeros((2, 800)), np.zeros(800, np.int64), (np.zeros(800), 16_000), [0.0]], ids=str)
def test_what_is_no_live_speech_is_refused(recognizer: EmotionRecognizer, bad: Any) -> None:
    session = recognizer.live(name="microphone")
    with pytest.raises(InputError, match="microphone: ") as caught:
        session.push(bad)
    assert caught.value.code == "bad_samples"
