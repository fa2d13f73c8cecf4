"""FSMN-VAD with its published weights, where they lie beside the repository: documented segments, and FunASR's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.clips import decoded
from helpers.oracles.auto_model import funasr_auto_model
from overtone.compat import AutoModel
from overtone.errors import InputError

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

DOCUMENTED = [
    *([70, 2340], [2620, 6200], [6480, 23670], [23950, 26250], [26780, 28990], [29950, 31430]),
    *([31750, 37600], [38210, 46900], [47310, 49630], [49910, 56460], [56740, 59540], [59820, 70450]),
]
"""Segments of `vad_example.wav` in ms, from the model's card; found with an end silence of 800 ms."""

Spans = list[list[int]]
Samples = np.ndarray


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    found = data / "published" / "fsmn-vad"
    if not (found / "model.pt").is_file():
        pytest.skip("the weights of FSMN-VAD (../shared/data/published/fsmn-vad) are not here")
    return found


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[AutoModel]:
    model = AutoModel(model=str(folder), device="cpu", memory="2GiB", disable_update=True)
    yield model
    model.close()


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return funasr_auto_model(folder)


def speech(data: Path) -> list[tuple[str, Samples]]:
    """Everything that can be decoded, as both are given it: at 16 kHz."""
    found = []
    for path in sorted((data / "speech").rglob("*.*")):
        try:
            found.append((str(path.relative_to(data)), decoded(path)))
        except InputError:
            continue  # what is broken on purpose
    return found


def test_the_documented_segments_are_found_to_the_millisecond(ours: AutoModel, theirs: Any, folder: Path) -> None:
    path = str(folder / "vad_example.wav")
    assert ours.generate(path, max_end_silence_time=800)[0]["value"] == DOCUMENTED
    assert theirs.generate(path, max_end_silence_time=800)[0]["value"] == DOCUMENTED


def test_without_a_time_the_schedule_of_funasr_makes_one_segment(ours: AutoModel, theirs: Any, folder: Path) -> None:
    """As docs/transcription.md says of it."""
    path = str(folder / "vad_example.wav")
    found: Spans = ours.generate(path)[0]["value"]
    assert found == theirs.generate(path)[0]["value"]
    assert max(stop - start for start, stop in found) > 59_000


@pytest.mark.parametrize("options", [{"max_end_silence_time": 800}, {}], ids=["800 ms", "the schedule"])
def test_segments_of_every_clip_are_those_of_funasr(
    ours: AutoModel, theirs: Any, data: Path, options: dict[str, int]
) -> None:
    clips = speech(data)
    clips.append(("all of them, one after the other", np.concatenate([samples for _, samples in clips])))
    counts = []
    for name, samples in clips:
        found = ours.generate(samples, fs=16_000, **options)[0]["value"]
        assert found == theirs.generate(samples, **options)[0]["value"], name
        counts.append(len(found))
    assert len(clips) > 20
    assert sum(counts) > 2 * len(clips)


def streamed(model: Any, samples: Samples, chunk_ms: int, **options: Any) -> list[Spans]:
    """What each chunk tells: starts and ends as they are found."""
    cache: dict[str, Any] = {}
    size = 16 * chunk_ms
    return [
        model.generate(
            samples[start : start + size],
            cache=cache,
            is_final=start + size >= len(samples),
            chunk_size=chunk_ms,
            **options,
        )[0]["value"]
        for start in range(0, len(samples), size)
    ]


@pytest.mark.parametrize("chunk_ms", [200, 600])
@pytest.mark.parametrize("options", [{"max_end_silence_time": 800}, {}], ids=["800 ms", "the schedule"])
def test_what_each_chunk_of_a_stream_tells_is_what_funasr_tells(
    ours: AutoModel, theirs: Any, folder: Path, data: Path, chunk_ms: int, options: dict[str, int]
) -> None:
    wenet = sorted((data / "speech" / "wenet").glob("*.wav"))
    for path in (folder / "vad_example.wav", data / "speech" / "whisper" / "jfk.flac", *wenet):
        samples = decoded(path)
        found = streamed(ours, samples, chunk_ms, **options)
        assert found == streamed(theirs, samples, chunk_ms, **options), path.name
        assert any(found)
