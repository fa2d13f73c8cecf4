"""A checkpoint loaded into the runtime that runs it: OpenVINO on a CPU, PyTorch on CUDA or where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from overtone import conversion
from overtone.backends.openvino.compiled_model import check_precision
from overtone.backends.task_backend import TaskBackend
from overtone.batching.weights_budget import LoadingBudget, check_weights
from overtone.errors import CheckpointError
from overtone.models import converted as on_disk
from overtone.models.checkpoints import Checkpoint
from overtone.models.converted import Converted
from overtone.models.registry import family_of, task_of
from overtone.models.task import Task
from overtone.options.emotion import Options
from overtone.system.devices import runs_torch
from overtone.system.machine import available_bytes, rss_bytes

if TYPE_CHECKING:
    from overtone.backends.graphs import Graphs

_VERIFIED_HERE = (".safetensors", ".npy")
"""Endings of files that OpenVINO does not read; those that it does are verified while they are copied for it."""


def load(
    checkpoint: Checkpoint, options: Options, device: str, threads: int, *, budget: LoadingBudget | None = None
) -> TaskBackend:
    """Load a model that is given segments, for a device; on a CPU it is converted first, once.

    budget: None is no limit but the machine's.

    Raises CheckpointError, ModelError where something is not installed, DeviceError, and BudgetError where the weights
    or their conversion are too many for the budget, before they are read.
    """
    task = task_of(checkpoint)
    return TaskBackend(load_graphs(checkpoint, options, device, threads, task=task, budget=budget), task)


def load_graphs(
    checkpoint: Checkpoint,
    options: Options,
    device: str,
    threads: int,
    *,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
    task: Task | None = None,
    budget: LoadingBudget | None = None,
) -> Graphs:
    """Load the graphs of any model for a device. Errors as for `load`.

    A converted model that is kept in the cache folder and was damaged there is made again.

    shapes: of a graph's first input, where it is always the same. task: what they are for, if it is given segments; it
    reads its own weights here.
    """
    strict = not options.ignore_unknown_tensors
    if runs_torch(options.backend, device):
        from overtone.backends.torch.graphs import TorchGraphs

        _check_weights(checkpoint.name, checkpoint.weight_bytes, device, budget)
        graphs = family_of(checkpoint).build(checkpoint, strict=strict)
        if task is not None:
            task.read_weights(None)
        return TorchGraphs(
            graphs, device=device, precision=options.precision or "fp32", threads=threads, offload=options.offload
        )
    if options.precision is not None:
        check_precision(options.precision)  # before a conversion, which takes its time

    def converted() -> Converted:
        found = conversion.converted(checkpoint, options.precision, strict=strict, budget=budget)
        _check_weights(checkpoint.name, found.weight_bytes, device, budget)
        return found

    found = converted()
    try:
        return _in_openvino(found, checkpoint, options, threads, shapes, task)
    except CheckpointError:
        if not conversion.discard_damaged(found, checkpoint):
            raise
    return _in_openvino(converted(), checkpoint, options, threads, shapes, task)


def _in_openvino(
    found: Converted,
    checkpoint: Checkpoint,
    options: Options,
    threads: int,
    shapes: Mapping[str, Sequence[int]],
    task: Task | None,
) -> Graphs:
    from overtone.backends.openvino.graphs import OpenvinoGraphs

    precision = options.precision or found.precision
    on_disk.verify(found, (part for part in found.files if part.endswith(_VERIFIED_HERE)), checkpoint.name)
    if task is None:
        return OpenvinoGraphs(found, found.graphs, precision=precision, threads=threads, shapes=shapes)
    if missing := [graph for graph in task.graphs if graph not in found.graphs]:
        raise CheckpointError(
            f"{checkpoint.name}: the converted model lacks {', '.join(missing)}; convert the published one again."
        )
    task.read_weights(found.folder)
    return OpenvinoGraphs(
        found,
        task.graphs,
        precision=precision,
        threads=threads,
        shapes=shapes,
        blockwise=task.blockwise if options.whole else (),
        wrap=task.runner,
    )


def _check_weights(name: str, weight_bytes: int, device: str, budget: LoadingBudget | None) -> None:
    available = available_bytes()
    held = rss_bytes() + (0 if budget is None else budget.beside_bytes) if device == "cpu" else 0
    limit = held + available if budget is None else budget.limit_bytes
    check_weights(name, weight_bytes, held_bytes=held, budget_bytes=limit, available_bytes=available)
