"""What only a CUDA device can show. Skipped, saying so, where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import EXAMPLES, voice
from overtone import Audio, EmotionRecognizer
from overtone.backends.torch_backend import TorchBackend, resolve_device
from overtone.errors import DeviceError, OutOfMemory
from overtone.values import Batch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu"):
        resolve_device(device)


def test_a_device_that_is_not_there_is_refused_and_nothing_falls_back(small_checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="doctor"):
        EmotionRecognizer(str(small_checkpoint), device="cuda:63")


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_a_gpus_precision_on_the_cpu_is_refused(small_checkpoint: Path, precision: str) -> None:
    with pytest.raises(DeviceError, match="--precision fp32"):
        EmotionRecognizer(str(small_checkpoint), device="cpu", precision=precision)


@needs_cuda
@pytest.mark.cuda
# Scores are at most 1: bf16 keeps 8 bits of a value, fp16 and tf32 11, which a dozen layers round again and again.
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("tf32", 1e-2), ("bf16", 5e-2), ("fp16", 1e-2)])
def test_a_gpu_says_what_the_cpu_says(small_checkpoint: Path, precision: str, tolerance: float) -> None:
    clips = [EXAMPLES / "angry.wav", EXAMPLES / "call.mp3", Audio(voice(3.0), 16_000)]
    with (
        EmotionRecognizer(str(small_checkpoint), device="cpu") as cpu,
        EmotionRecognizer(str(small_checkpoint), device="cuda:0", precision=precision) as gpu,
    ):
        for ours, expected in zip(gpu.stream(clips), cpu.stream(clips), strict=True):
            assert (ours.device, ours.precision) == ("cuda:0", precision)
            assert ours.scores is not None
            assert expected.scores is not None
            assert list(ours.scores.values()) == pytest.approx(list(expected.scores.values()), abs=tolerance)


@needs_cuda
@pytest.mark.cuda
def test_a_real_out_of_memory_is_told_and_leaves_nothing_behind(small_checkpoint: Path) -> None:
    from overtone import checkpoints
    from overtone.models.loading import load

    network, _ = load(checkpoints.read(small_checkpoint, name="s"))
    backend = TorchBackend(network, device="cuda:0", precision="fp32", threads=1)
    clip = voice(30.0)
    batch = Batch((clip,) * 64, len(clip))
    backend.run(Batch((clip,), len(clip)))
    held = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        with pytest.raises(OutOfMemory):
            backend.run(batch)
        assert torch.cuda.memory_allocated() == held
        assert np.isfinite(backend.run(Batch((clip[:16_000],), 16_000))[0].total).all()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
