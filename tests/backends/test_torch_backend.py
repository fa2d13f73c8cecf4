"""What only PyTorch's backend does: memory refused becomes OutOfMemory, anything else stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import voice
from overtone import checkpoints
from overtone.backends.torch_backend import TorchBackend
from overtone.errors import OutOfMemory
from overtone.models.loading import load
from overtone.values import Batch


@pytest.fixture
def backend(small_checkpoint: Path) -> TorchBackend:
    network, _ = load(checkpoints.read(small_checkpoint, name="small"))
    # As many threads as this one has: running sets the number for the thread that calls, which is not ours to change.
    return TorchBackend(network, device="cpu", precision="fp32", threads=torch.get_num_threads())


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
    ],
)
def test_refused_memory_is_told_and_the_next_batch_runs(
    backend: TorchBackend, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    clip = voice(1.0)
    batch = Batch((clip,), len(clip))
    with monkeypatch.context() as broken:
        broken.setattr(backend, "_network", raising(error))
        with pytest.raises(OutOfMemory, match=said):
            backend.run(batch)
    assert backend.run(batch)[0].count == 49


def test_a_fault_of_another_kind_is_not_taken_for_it(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = voice(1.0)
    monkeypatch.setattr(backend, "_network", raising(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="multiplied"):
        backend.run(Batch((clip,), len(clip)))


def test_memory_refused_while_a_model_loads_is_the_budgets_error(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overtone import EmotionRecognizer
    from overtone.errors import BudgetError

    refusal = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 GB")
    monkeypatch.setattr(torch, "load", raising(refusal))
    with pytest.raises(BudgetError, match="cannot be held on cpu"):
        EmotionRecognizer(str(small_checkpoint), backend="torch")
