"""The promise: batch composition, order and padding never change an answer."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.backends import loaded
from helpers.clips import buzz
from overtone.backends.task_backend import TaskBackend
from overtone.batching.policy import bucket
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.loading import load
from overtone.models.layers.alibi_attention import attend
from overtone.models.layers.attention_span import SKIPPED_SHARE
from overtone.types import FRAMES, Batch, EmotionOutput

TOLERANCE = 1e-5
"""Absolute, on embeddings of the order of 1 to 5: a few units in the last place of float32."""


def backend(folder: Path) -> TaskBackend:
    return loaded(folder, backend="torch", threads=2)


@pytest.fixture(scope="module")
def small(small_checkpoint: Path) -> TaskBackend:
    return backend(small_checkpoint)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TaskBackend:
    """As wide as the published one: it is widths that choose the kernels. Layers are the same one after another."""
    shallow = random_checkpoint.BASE | {"depth": 2, "prenet_depth": 1}
    return backend(random_checkpoint.write(tmp_path_factory.mktemp("base") / "c", shallow, optimizer=False))


def run(backend: TaskBackend, clips: list[np.ndarray], padded: int | None = None) -> list[EmotionOutput]:
    longest = max(len(clip) for clip in clips)
    return backend.run(Batch(tuple(clips), padded or bucket(longest), decode_params=FRAMES))


def assert_same(together: list[EmotionOutput], alone: list[EmotionOutput]) -> None:
    for a, b in zip(together, alone, strict=True):
        assert a.count == b.count
        assert a.frames is not None
        assert b.frames is not None
        np.testing.assert_allclose(a.frames, b.frames, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(a.total / a.count, b.total / b.count, rtol=0, atol=TOLERANCE)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(400, 25_000), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    slack=st.integers(0, 10_000),
)
def test_any_mix_in_any_order_with_any_padding_equals_alone(
    small: TaskBackend, lengths: list[int], order: object, slack: int
) -> None:
    clips = [buzz(length / 16_000, seed=i) for i, length in enumerate(lengths)]
    alone = [run(small, [clip], len(clip))[0] for clip in clips]
    places = list(range(len(clips)))
    order.shuffle(places)  # type: ignore[attr-defined]
    together = run(small, [clips[i] for i in places], max(lengths) + slack)
    assert_same(together, [alone[i] for i in places])


def test_padding_is_not_merely_quiet_but_absent(small: TaskBackend) -> None:
    """A neighbour as loud as can be, and much longer, changes nothing."""
    clip, loud = buzz(1.0), 1000 * buzz(9.0, seed=3)
    assert_same(run(small, [clip, loud])[:1], run(small, [clip], len(clip)))


@settings(max_examples=3)
@given(lengths=st.lists(st.floats(15.0, 25.0), min_size=2, max_size=3))
def test_long_items_with_keys_left_out_equal_alone(small: TaskBackend, lengths: list[float]) -> None:
    clips = [buzz(length, seed=i) for i, length in enumerate(lengths)]
    assert_same(run(small, clips), [run(small, [clip], len(clip))[0] for clip in clips])


@pytest.mark.slow
def test_the_base_shape_is_exact_too(base: TaskBackend) -> None:
    clips = [buzz(length, seed=i) for i, length in enumerate((0.4, 1.9, 2.0, 1.3))]
    alone = [run(base, [clip], len(clip))[0] for clip in clips]
    assert_same(run(base, clips), alone)
    assert_same(run(base, clips[::-1]), alone[::-1])


@pytest.mark.parametrize("seconds", [16.0, 24.0])
def test_keys_that_are_left_out_are_not_missed(small_checkpoint: Path, seconds: float) -> None:
    """The whole network in double precision, so that nothing but what is left out makes a difference."""
    network, _ = load(checkpoints.read(small_checkpoint, name="s"))
    network = network.double()
    waveforms = torch.from_numpy(np.stack([buzz(seconds), buzz(seconds, seed=1)])).double()
    waveforms = torch.nn.functional.layer_norm(waveforms, waveforms.shape[-1:])
    whole = network.architecture.frames_of(waveforms.shape[1])
    for frames in (None, torch.tensor([whole, whole - 100])):
        answers = []
        for share in (SKIPPED_SHARE, 0.0):
            network.set_attention(partial(attend, share=share))
            with torch.inference_mode():
                answers.append(network(waveforms, frames)[:, : whole - 100])
        left_out, everything = answers
        assert not torch.equal(left_out, everything)
        # 1e-7 of each softmax in three layers, on values of the order of 1 to 5.
        torch.testing.assert_close(left_out, everything, rtol=0, atol=1e-6)


def test_running_changes_no_thread_count_of_the_caller_or_of_new_threads(small_checkpoint: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def of_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as new:
            return new.submit(torch.get_num_threads).result()

    before, default = torch.get_num_threads(), of_a_new_thread()
    wanted = max(before, default) + 1
    with ThreadPoolExecutor(1) as own:
        runner = loaded(small_checkpoint, backend="torch", threads=wanted)
        own.submit(run, runner, [buzz(1.0)]).result()
        assert own.submit(torch.get_num_threads).result() == wanted
    assert torch.get_num_threads() == before
    assert of_a_new_thread() == default
