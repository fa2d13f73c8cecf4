"""What only PyTorch's backend does: memory refused becomes OutOfMemory, anything else stays what it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.backends import loaded
from helpers.clips import buzz
from overtone.backends.task_backend import TaskBackend
from overtone.backends.torch.memory import CudaMemory
from overtone.errors import DeviceError, OutOfMemory
from overtone.types import FRAMES, Batch


@pytest.fixture
def backend(small_checkpoint: Path) -> TaskBackend:
    # As many threads as this one has: running sets the number for the thread that calls, which is not ours to change.
    return loaded(small_checkpoint, backend="torch", threads=torch.get_num_threads())


def raising(error: Exception) -> Callable[..., Any]:
    def forward(*_: Any, **__: Any) -> Any:
        raise error

    return forward


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the system refused memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 GB\nmore"), "4 GB$"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "Tried to allocate 2 GiB"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "CUDA error: out of memory$"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "ALLOC_FAILED"),
    ],
)
def test_refused_memory_is_told_and_the_next_batch_runs(
    backend: TaskBackend, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    clip = buzz(1.0)
    batch = Batch((clip,), len(clip))
    with monkeypatch.context() as broken:
        broken.setattr(backend.graphs, "run", raising(error))
        with pytest.raises(OutOfMemory, match=said):
            backend.run(batch)
    assert backend.run(batch)[0].count == 49


def test_a_fault_of_another_kind_is_not_taken_for_it(backend: TaskBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = buzz(1.0)
    monkeypatch.setattr(backend.graphs, "run", raising(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="multiplied"):
        backend.run(Batch((clip,), len(clip)))


@pytest.mark.parametrize(
    "refusal",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 GB"),
        MemoryError("Unable to allocate 4.00 GiB for an array with shape (1073741824,) and data type float32"),
    ],
    ids=["PyTorch's", "NumPy's"],
)
def test_memory_refused_while_a_model_loads_is_the_budgets_error(
    refusal: Exception, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overtone import EmotionRecognizer
    from overtone.errors import BudgetError
    from overtone.models.tensor_file import TensorFile

    monkeypatch.setattr(TensorFile, "read", raising(refusal))
    with pytest.raises(BudgetError, match="cannot be held on cpu"):
        EmotionRecognizer(str(small_checkpoint), backend="torch")


class FakeCuda:
    """What `torch.cuda` says of a device. kept: bytes of tensors, look by look. lost: whether it answers no more."""

    def __init__(self, *, kept: list[int], lost: bool = False) -> None:
        self.kept, self.lost = kept, lost
        self.calls: list[str] = []

    def memory_allocated(self, device: str) -> int:
        return self.kept.pop(0) if len(self.kept) > 1 else self.kept[0]

    def empty_cache(self) -> None:
        self.calls.append("empty_cache")

    def synchronize(self, device: str) -> None:
        if self.lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.fixture
def on_cuda(backend: TaskBackend, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeCuda], TaskBackend]:
    """The backend, taking itself for one on a GPU, with `torch.cuda` replaced; its tensors stay on the CPU."""

    def make(cuda: FakeCuda) -> TaskBackend:
        monkeypatch.setattr(backend.graphs._device, "on_cpu", False)  # type: ignore[attr-defined]
        monkeypatch.setattr(backend.graphs._device, "memory", CudaMemory("cpu"))  # type: ignore[attr-defined]
        for name in ("memory_allocated", "empty_cache", "synchronize"):
            monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
        return backend

    return make


BATCH = Batch((buzz(1.0),), 16_000)
CUDA_OOM = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ([100, 100, 100], 0),  # before the batch; after it; after tidying up
        ([100, 900, 100], 0),  # held by a reference cycle
        ([100, 900, 300], 200),  # held by something else
    ],
)
def test_after_cudas_out_of_memory_what_is_allocated_is_checked(
    on_cuda: Callable[[FakeCuda], TaskBackend], monkeypatch: pytest.MonkeyPatch, kept: list[int], left: int
) -> None:
    cuda = FakeCuda(kept=list(kept))
    backend = on_cuda(cuda)
    monkeypatch.setattr(backend.graphs, "run", raising(CUDA_OOM))
    with pytest.raises(OutOfMemory) as caught:
        backend.run(BATCH)
    assert caught.value.left_bytes == left
    assert cuda.calls == ["empty_cache"]


def test_a_failed_batchs_tensors_are_let_go_before_memory_is_given_back(
    on_cuda: Callable[[FakeCuda], TaskBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error's traceback holds every tensor of the batch: nothing may hold the error while the cache is emptied."""
    activations: list[weakref.ref[torch.Tensor]] = []
    alive: list[bool] = []

    def forward(*_: Any) -> Any:
        activation = torch.zeros(10)
        activations.append(weakref.ref(activation))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    cuda = FakeCuda(kept=[0])
    backend = on_cuda(cuda)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(activations[0]() is not None))
    monkeypatch.setattr(backend.graphs, "run", forward)
    with pytest.raises(OutOfMemory):
        backend.run(BATCH)
    assert alive == [False]


def test_a_device_that_answers_no_more_is_told_apart_from_a_batch_that_failed(
    on_cuda: Callable[[FakeCuda], TaskBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = RuntimeError("CUDA error: an illegal memory access was encountered")
    backend = on_cuda(FakeCuda(kept=[0], lost=True))
    monkeypatch.setattr(backend.graphs, "run", raising(fault))
    with pytest.raises(DeviceError, match="answers no more") as caught:
        backend.run(BATCH)
    assert caught.value.code == "device_lost"
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    with pytest.raises(RuntimeError, match="illegal"):
        backend.run(BATCH)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_float32_on_a_gpu_is_what_was_asked_for_while_it_runs(
    on_cuda: Callable[[FakeCuda], TaskBackend], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen = []
    backend = on_cuda(FakeCuda(kept=[0]))
    run = backend.graphs.run

    def forward(*given: Any) -> Any:
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return run(*given)

    monkeypatch.setattr(backend.graphs._device, "precision", precision)  # type: ignore[attr-defined]
    monkeypatch.setattr(backend.graphs, "run", forward)
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    backend.run(BATCH)
    assert seen == [(precision == "tf32",) * 2] * 2  # in either graph
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_tf32_is_refused_where_the_gpu_has_none(small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    with pytest.raises(DeviceError, match=r"cuda:0 \(Tesla T4\) has no tf32"):
        loaded(small_checkpoint, device="cuda:0", precision="tf32")


def test_what_the_allocator_keeps_and_could_give_back_is_told(
    on_cuda: Callable[[FakeCuda], TaskBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = on_cuda(FakeCuda(kept=[0]))
    stats = {"reserved_bytes": 100, "allocated_bytes": 60, "inactive_split_bytes": 15}
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda _: {f"{k}.all.current": v for k, v in stats.items()})
    assert backend.memory.reclaimable() == 25


def test_what_a_batch_answered_is_not_changed_by_the_next(backend: TaskBackend) -> None:
    first = backend.run(Batch((buzz(2.0), buzz(1.0, seed=1)), 32_000, decode_params=FRAMES))
    kept = [(output.total.copy(), output.frames) for output in first]
    assert all(frames is not None and frames.base is None for _, frames in kept)  # nor is the whole batch kept alive
    frames = [output.frames.copy() for output in first if output.frames is not None]
    backend.run(Batch((buzz(2.0, seed=2), buzz(2.0, seed=3)), 32_000, decode_params=FRAMES))
    for output, (total, _), rows in zip(first, kept, frames, strict=True):
        assert (output.total == total).all()
        assert (output.frames == rows).all()
