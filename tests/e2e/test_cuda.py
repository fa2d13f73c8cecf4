"""What only a CUDA device can show. Skipped, saying so, where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.backends import loaded
from helpers.clips import EXAMPLES, voice
from overtone import Audio, EmotionRecognizer
from overtone.backends.torch.tf32 import SWITCHES
from overtone.errors import DeviceError, OutOfMemory
from overtone.models.layers.alibi_attention import alibi_slopes, attend
from overtone.models.layers.flex_attention import FlexAttend, flex_available
from overtone.system.devices import resolve_device
from overtone.types import FRAMES, Batch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu"):
        resolve_device(device)


def test_a_device_that_is_not_there_is_refused_and_nothing_falls_back(small_checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="doctor"):
        EmotionRecognizer(str(small_checkpoint), device="cuda:63")


@pytest.mark.parametrize(
    ("backend", "precision"),
    [("openvino", "fp16"), ("openvino", "tf32"), ("torch", "bf16"), ("torch", "tf32"), ("torch", "int8")],
)
def test_a_precision_that_is_for_another_runtime_is_refused(
    small_checkpoint: Path, backend: str, precision: str
) -> None:
    with pytest.raises(DeviceError, match=r"precision can be fp32|backend='openvino'"):
        EmotionRecognizer(str(small_checkpoint), device="cpu", backend=backend, precision=precision)


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
    backend = loaded(small_checkpoint, device="cuda:0")
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


@needs_cuda
@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_attention_in_one_kernel_says_what_blocks_say(precision: str) -> None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    if not flex_available("cuda:0", dtype, 64):
        pytest.skip("FlexAttention cannot be had here")
    flex = FlexAttend()
    slopes = torch.tensor(alibi_slopes(12), device="cuda:0")
    with torch.inference_mode(), SWITCHES.precision(tf32=False):
        for batch, tokens in ((1, 100), (1, 1510), (3, 700), (8, 311)):
            query, key, value = torch.randn(3, batch, 12, tokens, 64, device="cuda:0", dtype=dtype)
            lengths = torch.linspace(tokens * 0.8, tokens, batch, device="cuda:0").long()
            valid = torch.arange(tokens, device="cuda:0")[None] < lengths[:, None]
            ours, blocks = (way(query, key, value, slopes, valid, 10) for way in (flex, attend))
            at = valid[:, None, :, None].expand_as(ours)
            # Values are of the order of 1; bf16 keeps 8 bits of the bias in blocks, and all of it in the kernel.
            tolerance = 1e-5 if precision == "fp32" else 5e-2
            torch.testing.assert_close(ours[at], blocks[at], rtol=0, atol=tolerance)
    assert flex.fault is None


@needs_cuda
@pytest.mark.cuda
def test_offloaded_blocks_answer_the_same(small_checkpoint: Path) -> None:
    clip = Batch((voice(3.0), voice(2.0, seed=1)), 48_000)
    answers = []
    for offload in (False, True):
        backend = loaded(small_checkpoint, device="cuda:0", offload=offload)
        answers.append([output.total for output in backend.run(clip)])
    for resident, moved in zip(*answers, strict=True):
        np.testing.assert_allclose(moved, resident, rtol=0, atol=1e-3)  # sums of some 150 frames


@needs_cuda
@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="several CUDA devices are needed")
def test_several_gpus_say_what_one_says(small_checkpoint: Path) -> None:
    clips = [Audio(voice(2.0 + i % 3, seed=i), 16_000) for i in range(40)]
    with (
        EmotionRecognizer(str(small_checkpoint), device="cuda:0") as one,
        EmotionRecognizer(str(small_checkpoint), device="cuda:all", batch_size_s=32.0) as all_of_them,
    ):
        assert all_of_them.runtime.engine.device.count("cuda:") == torch.cuda.device_count()
        for ours, expected in zip(all_of_them.stream(clips), one.stream(clips), strict=True):
            assert ours.device in all_of_them.runtime.engine.device.split(",")
            assert ours.scores == pytest.approx(expected.scores, abs=1e-4)


@needs_cuda
@pytest.mark.cuda
def test_pinned_memory_that_is_used_again_mixes_no_answers_up(small_checkpoint: Path) -> None:
    backend = loaded(small_checkpoint, device="cuda:0")
    clips = [voice(1.0 + i % 4, seed=i) for i in range(12)]
    alone = [backend.run(Batch((clip,), len(clip), decode_params=FRAMES))[0] for clip in clips]
    kept = [(output.total.copy(), output.frames.copy()) for output in alone if output.frames is not None]
    together = backend.run(Batch(tuple(clips), 64_000, decode_params=FRAMES))
    for first, (total, frames), second in zip(alone, kept, together, strict=True):
        assert (first.total == total).all()  # nothing that came back is changed by what came after
        assert first.frames is not None
        assert second.frames is not None
        assert (first.frames == frames).all()
        np.testing.assert_allclose(second.frames, frames, rtol=0, atol=1e-4)
