"""A checkpoint loaded into the runtime that runs it: OpenVINO on a CPU, PyTorch on CUDA or where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from overtone import conversion
from overtone.backends.openvino.compiled_model import check_precision
from overtone.backends.task_backend import TaskBackend
from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.registry import family_of, task_of
from overtone.models.task import Task
from overtone.options.emotion import Options
from overtone.system.devices import runs_torch

if TYPE_CHECKING:
    from overtone.backends.graphs import Graphs


def load(checkpoint: Checkpoint, options: Options, device: str, threads: int) -> TaskBackend:
    """Load a model that is given segments, for a device; on a CPU it is converted first, once.

    Raises CheckpointError, ModelError where something is not installed, and DeviceError.
    """
    task = task_of(checkpoint)
    return TaskBackend(load_graphs(checkpoint, options, device, threads, task=task), task)


def load_graphs(
    checkpoint: Checkpoint,
    options: Options,
    device: str,
    threads: int,
    *,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
    task: Task | None = None,
) -> Graphs:
    """Load the graphs of any model for a device. Errors as for `load`.

    shapes: of a graph's first input, where it is always the same. task: what they are for, if it is given segments; it
    reads its own weights here.
    """
    strict = not options.ignore_unknown_tensors
    if runs_torch(options.backend, device):
        from overtone.backends.torch.graphs import TorchGraphs

        graphs = family_of(checkpoint).build(checkpoint, strict=strict)
        if task is not None:
            task.read_weights(None)
        return TorchGraphs(
            graphs, device=device, precision=options.precision or "fp32", threads=threads, offload=options.offload
        )
    from overtone.backends.openvino.graphs import OpenvinoGraphs

    if options.precision is not None:
        check_precision(options.precision)  # before a conversion, which takes its time
    found = conversion.converted(checkpoint, options.precision, strict=strict)
    precision = options.precision or found.precision
    if task is None:
        return OpenvinoGraphs(found.folder, found.graphs, precision=precision, threads=threads, shapes=shapes)
    if missing := [graph for graph in task.graphs if graph not in found.graphs]:
        raise CheckpointError(
            f"{checkpoint.name}: the converted model lacks {', '.join(missing)}; convert the published one again."
        )
    task.read_weights(found.folder)
    return OpenvinoGraphs(
        found.folder,
        task.graphs,
        precision=precision,
        threads=threads,
        shapes=shapes,
        blockwise=task.blockwise if options.whole else (),
        wrap=task.runner,
    )
