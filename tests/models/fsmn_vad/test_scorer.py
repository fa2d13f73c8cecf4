"""Probabilities and levels of a stream: the same however it comes, and FunASR's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import buzz
from helpers.oracles import fsmn_vad as oracle
from helpers.oracles.run import torch_run
from overtone.errors import CheckpointError, UsageError
from overtone.models import checkpoints
from overtone.models.features.fbank import frames_of
from overtone.models.fsmn_vad.network import build
from overtone.models.fsmn_vad.scorer import FsmnStream, FsmnVad, Scores

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

VOICE = buzz(9.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("vad") / "fsmn-vad")


def stream(folder: Path, block_frames: int = 100) -> FsmnStream:
    checkpoint = checkpoints.read(folder, name="fsmn-vad")
    return FsmnVad(checkpoint).stream(torch_run(build(checkpoint)), block_frames=block_frames)


def scores(stream: FsmnStream, samples: np.ndarray, sizes: list[int]) -> Scores:
    parts, at, place = [], 0, 0
    while at < len(samples):
        size = sizes[place % len(sizes)]
        parts.append(stream.push(samples[at : at + size]))
        at, place = at + size, place + 1
    parts.append(stream.finish())
    assert stream.samples == len(samples)
    return Scores(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("silence", "decibels")))


@pytest.mark.parametrize("samples", [400, 559, 560, 720, 880, 1040, 16_000, 16_240, 16_560, 100_001, len(VOICE)])
def test_scores_are_those_of_funasr(folder: Path, samples: int) -> None:
    auto = oracle.funasr(folder)
    frontend, model = auto.kwargs["frontend"], auto.model
    cache: dict[str, object] = {}
    waveform = torch.from_numpy(VOICE[None, :samples])
    with torch.inference_mode():
        features, _ = frontend(waveform, [samples], cache=cache, is_final=True, return_waveform=True)
        want = model.encoder(features, None)[0, :, 0].numpy()
        model.init_cache(cache)
        cache["stats"].waveform = waveform  # type: ignore[attr-defined] # as its own inference does
        model.ComputeDecibel(cache=cache)
    found = scores(stream(folder), VOICE[:samples], [7001])
    assert len(found) == len(want) == frames_of(samples)
    # Filter banks agree to about 1e-4 of a logarithm, which a probability follows with a slope of about a half.
    np.testing.assert_allclose(found.silence, want, atol=2e-5)
    np.testing.assert_allclose(found.decibels, cache["stats"].decibel, atol=1e-5)  # type: ignore[attr-defined]


@settings(max_examples=8)
@given(length=st.integers(0, 40_000), sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=4))
def test_scores_do_not_depend_on_how_samples_come(folder: Path, length: int, sizes: list[int]) -> None:
    sizes = [size if length < 5000 else size + 500 for size in sizes]
    samples = VOICE[:length]
    whole, parts = scores(stream(folder), samples, [60_000]), scores(stream(folder), samples, sizes)
    assert len(whole) == frames_of(length)
    np.testing.assert_array_equal(whole.silence, parts.silence)
    np.testing.assert_array_equal(whole.decibels, parts.decibels)


@pytest.mark.parametrize("block", [1, 2, 7, 250])
def test_blocks_of_any_length_say_the_same(folder: Path, block: int) -> None:
    samples = VOICE[:9_000]
    found, want = scores(stream(folder, block), samples, [3000]), scores(stream(folder), samples, [3000])
    # Only products of other numbers of rows.
    np.testing.assert_allclose(found.silence, want.silence, atol=2e-6)


def test_every_run_has_the_same_shape(folder: Path) -> None:
    checkpoint = checkpoints.read(folder, name="fsmn-vad")
    run, shapes = torch_run(build(checkpoint)), set()

    def watched(graph: str, inputs: dict[str, np.ndarray]) -> object:
        shapes.add((graph, inputs["features"].shape))
        return run(graph, inputs)

    scores(FsmnVad(checkpoint).stream(watched, block_frames=64), VOICE, [4321])  # type: ignore[arg-type] # a Run
    assert shapes == {("scores", (1, 64, 400))}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"frontend_conf": {"lfr_m": 7, "lfr_n": 6}}, "lfr_m 7 and lfr_n 6"),
        ({"frontend_conf": {"lfr_m": 5, "n_mels": 40}}, "input_dim"),
        ({"frontend_conf": {"lfr_m": 5, "fs": 8000}}, "frontend_conf.fs"),
        ({"frontend_conf": {"lfr_m": 5, "cmvn_file": "other.mvn"}}, "other.mvn"),
        ({"frontend_conf": "none"}, "frontend_conf"),
        ({"model_conf": "none"}, "model_conf"),
        ({"encoder": "DNN"}, "encoder"),
    ],
)
def test_a_broken_configuration_is_named(folder: Path, tmp_path: Path, changes: dict[str, object], named: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))
    with pytest.raises(CheckpointError, match=named):
        FsmnVad(checkpoints.read(copy, name="fsmn-vad"))


def test_options_may_be_named(folder: Path) -> None:
    checkpoint = checkpoints.read(folder, name="fsmn-vad")
    assert FsmnVad(checkpoint, max_single_segment_time=20_000).options.max_single_segment_time == 20_000
    with pytest.raises(UsageError, match="max_time"):
        FsmnVad(checkpoint, max_time=20_000)
