"""The OpenVINO backend: the network's own numbers, whatever the batch, in memory that a length does not outgrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.backends import loaded
from helpers.clips import buzz
from helpers.converting import convert
from overtone.backends.openvino.compiled_model import has_fast_bf16
from overtone.backends.task_backend import TaskBackend
from overtone.batching.policy import bucket
from overtone.errors import DeviceError, ModelError
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.loading import load
from overtone.types import FRAMES, Batch, EmotionOutput

Precisely = Callable[[Batch], list[EmotionOutput]]


@pytest.fixture(scope="module")
def backend(small_checkpoint: Path) -> TaskBackend:
    convert(small_checkpoint)
    return loaded(small_checkpoint)


@pytest.fixture(scope="module")
def whole(small_checkpoint: Path) -> TaskBackend:
    return loaded(small_checkpoint, context="full")


@pytest.fixture(scope="module")
def precisely(small_checkpoint: Path) -> Precisely:
    return in_pytorch(small_checkpoint)


def in_pytorch(folder: Path, dtype: torch.dtype = torch.float64) -> Precisely:
    """The network as PyTorch runs it on each waveform alone; in double precision it is free of anyone's rounding."""
    network = load(checkpoints.read(folder, name="c"))[0].to(dtype)

    def run(batch: Batch) -> list[EmotionOutput]:
        outputs = []
        for waveform in batch.waveforms:
            samples = torch.from_numpy(waveform).to(dtype)
            with torch.inference_mode():
                rows = network(F.layer_norm(samples, samples.shape)[None], None)[0].numpy()
            outputs.append(EmotionOutput(total=rows.sum(axis=0), count=len(rows), frames=rows))
        return outputs

    return run


def batch_of(*seconds: float) -> Batch:
    clips = tuple(buzz(length, seed=place) for place, length in enumerate(seconds))
    return Batch(clips, bucket(max(len(clip) for clip in clips)), decode_params=FRAMES)


def difference(ours: list[EmotionOutput], theirs: list[EmotionOutput]) -> float:
    for a, b in zip(ours, theirs, strict=True):
        assert a.count == b.count
    return max(float(np.abs(a.frames - b.frames).max()) for a, b in zip(ours, theirs, strict=True))  # type: ignore[operator]


# Rounding alone is some 6e-6 on values of 1 to 5, here as in PyTorch, whose answers are so up to 1.3e-5 from these.
@settings(max_examples=25)
@given(st.lists(st.floats(0.03, 4.0), min_size=1, max_size=6))
@example([1.0] * 5 + [3.483313782776122])
def test_any_batch_equals_the_network_and_each_alone(
    backend: TaskBackend, precisely: Precisely, lengths: list[float]
) -> None:
    batch = batch_of(*lengths)
    found = backend.run(batch)
    assert difference(found, precisely(batch)) < 1e-5
    alone = [backend.run(Batch((clip,), len(clip), decode_params=FRAMES))[0] for clip in batch.waveforms]
    assert difference(found, alone) < 1e-5
    for output in found:
        assert output.frames is not None
        np.testing.assert_allclose(output.total, output.frames.sum(axis=0, dtype=np.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("lengths", [(0.1,), (3.0, 2.9, 1.0), (31.0,), (60.0, 55.0)])
def test_attention_in_blocks_gives_the_same(
    backend: TaskBackend, whole: TaskBackend, lengths: tuple[float, ...]
) -> None:
    batch = batch_of(*lengths)
    assert difference(whole.run(batch), backend.run(batch)) < 1e-5


@pytest.mark.usefixtures("converted_here")
@pytest.mark.parametrize(
    "changes",
    [
        {"use_alibi_encoder": False},
        {"learned_alibi_scale_per_layer": True},
        {"num_extra_tokens": 0},
        {"conv_pos_pre_ln": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_kind_of_network_is_exported(tmp_path: Path, changes: dict[str, object]) -> None:
    folder = random_checkpoint.write(tmp_path / "c", **changes)
    batch = batch_of(1.5, 1.4)
    expected = in_pytorch(folder)(batch)
    # The order in which a processor adds decides how much is rounded.
    rounded = max(1e-5, 1.5 * difference(in_pytorch(folder, torch.float32)(batch), expected))
    assert difference(loaded(folder).run(batch), expected) < rounded
    assert difference(loaded(folder, context="full").run(batch), expected) < rounded


def test_a_run_does_not_touch_what_an_earlier_one_gave(backend: TaskBackend) -> None:
    first = backend.run(batch_of(2.0))[0]
    frames, total = first.frames.copy(), first.total.copy()  # type: ignore[union-attr]
    backend.run(batch_of(2.0, 1.8, 1.7))
    np.testing.assert_array_equal(first.frames, frames)  # type: ignore[arg-type]
    np.testing.assert_array_equal(first.total, total)


def test_trimming_between_runs_changes_nothing(backend: TaskBackend) -> None:
    batch = batch_of(2.0, 1.5)
    before = backend.run(batch)
    backend.memory.trim()
    assert difference(backend.run(batch), before) == 0.0


def test_no_thread_count_of_anyone_else_is_changed(backend: TaskBackend) -> None:
    before = torch.get_num_threads()
    backend.run(batch_of(0.5))
    assert torch.get_num_threads() == before


def test_a_precision_for_other_devices_is_refused(small_checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="on the CPU precision can be fp32"):
        loaded(small_checkpoint, precision="fp16")


def test_bf16_is_refused_where_it_would_only_be_emulated(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overtone.backends.openvino.compiled_model.has_fast_bf16", lambda: False)
    with pytest.raises(DeviceError, match=r"no fast bf16.*precision='fp32'"):
        loaded(small_checkpoint, precision="bf16")


def test_a_refused_allocation_is_out_of_memory(backend: TaskBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    from overtone.errors import OutOfMemory

    def refuse(graph: str, inputs: object) -> object:
        raise RuntimeError("Exception from src/inference: std::bad_alloc")

    with monkeypatch.context() as patch:
        patch.setattr(backend.graphs, "run", refuse)
        with pytest.raises(OutOfMemory, match="bad_alloc"):
            backend.run(batch_of(0.5))
    assert backend.run(batch_of(0.5))[0].count == 24


@pytest.mark.skipif(not has_fast_bf16(), reason="this processor has no fast bf16")
def test_bf16_runs_from_the_same_files(backend: TaskBackend, small_checkpoint: Path) -> None:
    in_bf16 = loaded(small_checkpoint, precision="bf16")
    batch = batch_of(2.0)
    # bf16 keeps 8 bits of a value of 1 to 5, and a few layers round again.
    off = difference(in_bf16.run(batch), backend.run(batch))
    assert 1e-4 < off < 0.3


def test_an_encoder_that_is_not_as_exported_is_refused(tmp_path: Path) -> None:
    import openvino
    from openvino import opset13

    from overtone.backends.openvino.blockwise_encoder import BlockwiseEncoder

    plain = opset13.parameter([1, 4], dtype=openvino.Type.f32)
    openvino.save_model(openvino.Model([opset13.relu(plain)], [plain], "m"), tmp_path / "encoder.xml")
    with pytest.raises(ModelError, match="convert the model again"):
        BlockwiseEncoder(tmp_path / "encoder.xml", threads=1, precision="fp32")
