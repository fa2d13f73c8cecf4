"""Blocks that stay on the CPU. What executes is the CPU as well here, so that the hooks run without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.backends import loaded
from helpers.clips import EXAMPLES, buzz
from overtone import EmotionRecognizer
from overtone.backends.task_backend import TaskBackend
from overtone.backends.torch.offload import Offload
from overtone.engine import device_model
from overtone.errors import DeviceError, OutOfMemory
from overtone.models import checkpoints
from overtone.models.emotion2vec.loading import load
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.types import FRAMES, Batch

PRENET = "modality_encoders.AUDIO.context_encoder.blocks.0"


@pytest.fixture
def network(small_checkpoint: Path) -> Emotion2vec:
    return load(checkpoints.read(small_checkpoint, name="small"))[0]


def backend(folder: Path, *, offload: bool) -> TaskBackend:
    return loaded(folder, backend="torch", threads=torch.get_num_threads(), offload=offload)


def test_blocks_wait_outside_and_everything_else_is_there(network: Emotion2vec) -> None:
    offload = Offload(network, dict(network.named_blocks()), "cpu")
    assert list(offload.block_bytes) == [PRENET, "blocks.0", "blocks.1"]
    assert offload.away == tuple(offload.block_bytes)
    assert offload.moved_bytes == sum(offload.block_bytes.values())


def test_answers_are_the_same_wherever_the_blocks_are(small_checkpoint: Path) -> None:
    batch = Batch((buzz(1.0), buzz(2.1, seed=1)), 34_000, decode_params=FRAMES)
    expected = backend(small_checkpoint, offload=False).run(batch)
    moved = backend(small_checkpoint, offload=True)
    offload = moved.graphs.offload
    assert isinstance(offload, Offload)
    every = sum(offload.block_bytes.values())
    # The device that executes is the CPU by another name, so that keeping a block there can be told apart.
    for placement, off in (({}, 3), ({PRENET: "cpu:0"}, 2), ({"blocks.0": "cpu:0", "blocks.1": "cpu:0"}, 0)):
        offload.place(placement)
        assert len(offload.away) == off
        for ours, theirs in zip(moved.run(batch), expected, strict=True):
            assert torch.equal(torch.from_numpy(ours.frames), torch.from_numpy(theirs.frames))
            assert (ours.total == theirs.total).all()
            assert [f"{off} of 3 blocks" in note for note in ours.notes] == ([True] if off else [])
        assert len(offload.away) == off  # nothing stays behind after a batch
        assert offload.moved_bytes == every * off / 3


def test_after_a_batch_that_broke_off_nothing_stays_behind(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = backend(small_checkpoint, offload=True)
    offload = runner.graphs.offload
    assert isinstance(offload, Offload)
    batch = Batch((buzz(1.0),), 16_000)

    linear = torch.nn.functional.linear
    on_device: list[bool] = []

    def refused(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if weight.shape[0] != 3 * x.shape[-1]:
            return linear(x, weight, bias)
        on_device.append(PRENET not in offload.away)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 GB")

    with monkeypatch.context() as broken:
        # In the middle of a layer: its weights are on the device, and the hook that drops them is not reached.
        broken.setattr(torch.nn.functional, "linear", refused)
        with pytest.raises(OutOfMemory):
            runner.run(batch)
    assert on_device == [True]
    assert offload.away == (PRENET, "blocks.0", "blocks.1")
    assert runner.run(batch)[0].count == 49


def test_a_recognizer_on_the_cpu_refuses_it_before_it_loads(small_checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match=r"^offload keeps"):
        EmotionRecognizer(str(small_checkpoint), device="cpu", offload=True)


def test_results_say_what_it_costs(
    small_checkpoint: Path, recognizer: EmotionRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_model, "check_offload", lambda device: None)
    source = EXAMPLES / "angry.wav"
    with EmotionRecognizer(
        str(small_checkpoint), device="cpu", backend="torch", memory="4GiB", offload=True
    ) as offloaded:
        result = offloaded(source)
    expected = recognizer(source)
    assert result.scores == pytest.approx(expected.scores, abs=1e-6)
    (note,) = result.timings.notes
    assert note.startswith("offloaded: 3 of 3 blocks are on the CPU; each batch moves ")
    assert "GiB/s measured at the start" in note
    assert expected.timings.notes == ()
