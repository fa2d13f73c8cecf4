"""Voices' vectors against FunASR's own, exactness in batches, and broken checkpoints."""

from __future__ import annotations

import functools
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import CLIPS, buzz, decoded
from helpers.oracles import campplus as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.backends import cost_probe
from overtone.batching.cost_model import Shape
from overtone.errors import CheckpointError, ModelError
from overtone.merging.speakers.diarization import diarize, seconds
from overtone.models import checkpoints
from overtone.models.campplus import network
from overtone.models.campplus.config import MELS
from overtone.models.campplus.task import ROWS, SHIFT, WINDOW, SpeakerTask, windows
from overtone.models.task import RunGraph
from overtone.types import Batch, SpeakerEmbeddings

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

NETWORK = 1e-4
"""Absolute, on values of the order of 1. FunASR's own, in double precision, is 5e-5 away from itself in single."""

WHOLE_WAY = 2e-3
"""Of an embedding's length. The network makes ten times as much of how a Fourier transform rounds, which is 6e-5 in the
logarithm of filters that hear next to nothing; what is seen is up to 5e-4."""


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    yield
    root.setLevel(level)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("campplus") / "model")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> checkpoints.Checkpoint:
    return checkpoints.read(folder, name="voices")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return oracle.funasr(folder)


@pytest.fixture(scope="module")
def funasrs(model: Any) -> Told:
    """What FunASR makes of waveforms, which is computed once for all that are compared with it."""
    return Told(model)


@pytest.fixture(scope="module", params=["torch", "openvino"])
def run(request: pytest.FixtureRequest, checkpoint: checkpoints.Checkpoint) -> RunGraph:
    graphs = network.build(checkpoint)
    return torch_run(graphs) if request.param == "torch" else openvino_run(graphs)


def chunked(samples: np.ndarray, start_s: float = 0.0) -> list[list[Any]]:
    """FunASR's windows: start and end in seconds, and samples."""
    from funasr.models.campplus.utils import sv_chunk

    return sv_chunk([[start_s, start_s + len(samples) / 16_000, samples]])


def answer(run: RunGraph, checkpoint: checkpoints.Checkpoint, *waveforms: np.ndarray) -> list[SpeakerEmbeddings]:
    answers = SpeakerTask(checkpoint).answer(run, Batch(waveforms, max(map(len, waveforms))))
    assert all(isinstance(one, SpeakerEmbeddings) for one in answers)
    return answers  # type: ignore[return-value]  # just seen


def off(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest distance between embeddings, as a share of their length."""
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    return float((np.linalg.norm(got - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max())


class Told:
    """FunASR's own windows of a waveform, and its vectors of them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: dict[bytes, tuple[np.ndarray, list[list[float]]]] = {}

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, list[list[float]]]:
        key = samples.tobytes()
        if key not in self._known:
            pieces = chunked(samples)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self._model.generate([piece[2] for piece in pieces])
            vectors = np.concatenate([one["spk_embedding"].numpy() for one in found])
            self._known[key] = vectors, [piece[:2] for piece in pieces]
        return self._known[key]


def compare(told: Told, run: RunGraph, checkpoint: checkpoints.Checkpoint, waveforms: list[np.ndarray]) -> None:
    for samples, got in zip(waveforms, answer(run, checkpoint, *waveforms), strict=True):
        wanted, spans = told(samples)
        assert off(got.embeddings, wanted) < WHOLE_WAY
        np.testing.assert_array_equal(got.spans / 16_000, spans)


def test_voices_are_those_of_funasr(funasrs: Told, run: RunGraph, checkpoint: checkpoints.Checkpoint) -> None:
    seconds = (0.02, 0.4, 1.5, 1.6, 7.3, 12.0)
    compare(funasrs, run, checkpoint, [buzz(length, seed=20 + i) for i, length in enumerate(seconds)])


REAL = (
    "speech/wenet/aishell-BAC009S0724W0121.wav",
    "speech/librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    "emodb/wav/12a02Ac.wav",
    "emodb/wav/13a02Wa.wav",
)


def test_real_voices_are_those_of_funasr(funasrs: Told, run: RunGraph, checkpoint: checkpoints.Checkpoint) -> None:
    compare(funasrs, run, checkpoint, [decoded(CLIPS / name) for name in REAL])


def test_more_real_voices_are_those_of_funasr(
    data: Path, funasrs: Told, run: RunGraph, checkpoint: checkpoints.Checkpoint
) -> None:
    compare(funasrs, run, checkpoint, [decoded(data / "speech/whisper/jfk.flac")])


@pytest.mark.slow
def test_the_published_size_is_that_of_funasr(tmp_path: Path) -> None:
    folder = oracle.publish(tmp_path / "model", seed=3, size="published")
    checkpoint = checkpoints.read(folder, name="voices")
    graphs, told = network.build(checkpoint), Told(oracle.funasr(folder))
    for run in (torch_run(graphs), openvino_run(graphs)):
        compare(told, run, checkpoint, [buzz(4.1, seed=5), buzz(0.9, seed=6)])


def test_who_speaks_when_is_as_funasr_has_it(funasrs: Told, run: RunGraph, checkpoint: checkpoints.Checkpoint) -> None:
    from funasr.models.campplus.cluster_backend import ClusterBackend
    from funasr.models.campplus.utils import postprocess

    # Two voices, one of which is the other played faster.
    rates, lengths = (16_000, 10_000, 16_000, 10_000, 10_000, 16_000), (6.1, 5.2, 0.9, 7.33, 4.0, 5.01)
    clips = [buzz(s * 16_000 / rate, i, rate) for i, (s, rate) in enumerate(zip(lengths, rates, strict=True))]
    starts_ms = (120, 6700, 12_130, 13_500, 21_000, 25_000)

    pieces = [piece for clip, start in zip(clips, starts_ms, strict=True) for piece in chunked(clip, start / 1000)]
    vectors = torch.from_numpy(np.concatenate([funasrs(clip)[0] for clip in clips]))
    voices = answer(run, checkpoint, *clips)
    times = [seconds(16 * start, one.spans) for start, one in zip(starts_ms, voices, strict=True)]
    embeddings, of = np.concatenate([one.embeddings for one in voices]), np.concatenate(times)
    for speakers in (None, 2):
        np.random.seed(0)  # what scikit-learn draws from
        labels = ClusterBackend()(vectors, oracle_num=speakers)
        wanted = postprocess(pieces, None, labels, vectors.numpy())
        got = diarize(embeddings, of, speakers)
        assert [(turn.start, turn.end, turn.speaker) for turn in got] == [tuple(turn) for turn in wanted]
    assert {turn.speaker for turn in got} == {0, 1}


@pytest.fixture(scope="module")
def embedded(model: Any) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Features of so many frames, and what FunASR makes of them, once for both runtimes."""

    @functools.cache
    def of(frames: int) -> tuple[np.ndarray, np.ndarray]:
        features = np.random.default_rng(frames).standard_normal((2, frames, MELS)).astype(np.float32)
        with torch.inference_mode():
            return features, model.model.eval()(torch.from_numpy(features)).numpy()

    return of


@pytest.mark.parametrize("frames", [50, 148, 199, 200, 201, 401])
def test_features_of_any_length(
    embedded: Callable[[int], tuple[np.ndarray, np.ndarray]], run: RunGraph, frames: int
) -> None:
    features, wanted = embedded(frames)
    np.testing.assert_allclose(run("speaker", {"features": features})["embeddings"], wanted, atol=NETWORK)


def test_a_batch_changes_nothing(run: RunGraph, checkpoint: checkpoints.Checkpoint) -> None:
    clips = [buzz(length, seed=i) for i, length in enumerate((3.3, 0.2, 1.5, 14.9, 2.26))]
    for samples, together in zip(clips, answer(run, checkpoint, *clips), strict=True):
        (alone,) = answer(run, checkpoint, samples)
        np.testing.assert_array_equal(together.spans, alone.spans)
        # Kernels for other numbers of rows add in another order.
        np.testing.assert_allclose(together.embeddings, alone.embeddings, atol=NETWORK)


@settings(max_examples=60)
@given(samples=st.integers(1, 200_000) | st.integers(1, 16).map(lambda n: n * SHIFT), start_ms=st.integers(0, 10**8))
def test_windows_are_those_of_funasr(samples: int, start_ms: int) -> None:
    pieces = chunked(np.zeros(samples, np.float32), start_ms / 1000)
    got = windows(samples)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(seconds(start_ms * 16, got), [piece[:2] for piece in pieces])


def test_shapes_of_runs_are_few(checkpoint: checkpoints.Checkpoint) -> None:
    seen = []

    def run(graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        assert graph == "speaker"
        features = inputs["features"]
        assert features.dtype == np.float32
        assert features.flags.c_contiguous
        np.testing.assert_allclose(features.mean(axis=1), 0, atol=1e-5)
        seen.append(features.shape)
        return {"embeddings": np.zeros((len(features), 24), np.float32)}

    clips = [buzz(0.75 * count + 0.76) for count in (40, 1, 7, 22)]
    got = answer(run, checkpoint, *clips)
    assert [len(voices.embeddings) for voices in got] == [41, 2, 8, 23]
    assert seen == [(ROWS, 148, MELS)] * 4 + [(8, 148, MELS), (2, 148, MELS)]
    assert [tuple(voices.spans[-1]) for voices in got] == [(len(clip) - WINDOW, len(clip)) for clip in clips]


def test_what_are_no_numbers_is_nobodys_voice(checkpoint: checkpoints.Checkpoint) -> None:
    def run(_: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return {"embeddings": np.full((len(inputs["features"]), 24), np.inf, np.float32)}

    with pytest.raises(ModelError, match="voices: gave values that are not numbers"):
        answer(run, checkpoint, buzz(1.0))


def test_a_rehearsal_runs_every_graph(run: RunGraph, checkpoint: checkpoints.Checkpoint) -> None:
    seen = set()

    def watched(graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        seen.add(graph)
        return run(graph, inputs)

    task = SpeakerTask(checkpoint)
    task.run_worst_case(watched, cost_probe.noise(Shape(2, 2.0)))
    assert seen == set(task.graphs)


def altered(folder: Path, into: Path, **changes: Any) -> checkpoints.Checkpoint:
    shutil.copytree(folder, into)
    config = yaml.safe_load((into / "config.yaml").read_text(encoding="utf-8"))
    config["model_conf"].update(changes)
    (into / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return checkpoints.read(into, name="voices")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_level": "frame"}, "output_level is 'frame'"),
        ({"config_str": "batchnorm-prelu"}, "config_str"),
        ({"feat_dim": 64}, "feat_dim is 64; only 80"),
        ({"growth_rate": "big"}, "growth_rate"),
        ({"bn_size": True}, "bn_size"),
        ({"embedding_size": 10**9}, "embedding_size is 1000000000, not a number from 1 to 4096"),
        ({"growth_rate": 3, "bn_size": 1}, "must be even"),
        (
            {"embedding_size": 25},
            r"xvector.dense.linear.weight has shape \[24, \d+, 1\], but config.yaml asks for \[25",
        ),
    ],
)
def test_what_is_not_known_is_named(folder: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        network.build(altered(folder, tmp_path / "c", **changes))


def test_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    (shutil.copytree(folder, tmp_path / "c") / "config.yaml").write_text("model: ERes2NetV2\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="'ERes2NetV2', and not CAMPPlus"):
        network.build(checkpoints.read(tmp_path / "c", name="voices"))


def test_weights_are_checked(folder: Path, tmp_path: Path) -> None:
    into = shutil.copytree(folder, tmp_path / "c")
    weights = into / "campplus_cn_common.bin"
    state = torch.load(weights, weights_only=True)
    # Counters of training may be there, or not.
    bare = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(bare, weights)
    checkpoint = checkpoints.read(into, name="voices")
    network.build(checkpoint)
    torch.save({**bare, "xvector.extra": torch.zeros(1)}, weights)
    with pytest.raises(CheckpointError, match=r"xvector\.extra"):
        network.build(checkpoint)
    network.build(checkpoint, strict=False)
    del bare["head.bn1.running_var"]
    torch.save(bare, weights)
    with pytest.raises(CheckpointError, match=r"lacks 1 of \d+ tensors \(head\.bn1\.running_var\)"):
        network.build(checkpoint)
