"""A checkpoint loaded into the backend that runs it: OpenVINO on a CPU, PyTorch on CUDA or where it is asked for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from overtone import conversion
from overtone.backends.openvino.runtime import check_precision
from overtone.errors import CheckpointError
from overtone.models.checkpoints import EMOTION, Checkpoint
from overtone.models.converted import read_classifier
from overtone.models.emotion2vec.classifier import Head
from overtone.models.emotion2vec.config import Architecture
from overtone.models.registry import task_of
from overtone.models.task import Task
from overtone.options.emotion import Options
from overtone.system.devices import runs_torch

if TYPE_CHECKING:
    from overtone.backends.base import LoadableBackend
    from overtone.backends.graphs import Graphs
    from overtone.backends.torch.offload import Offload


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A network in its backend. Samples at 16 kHz.

    hop, shortest: samples between frames, and of the least that it can work on. dim: of an embedding. shape: what its
    cost depends on. head: its classifier, if it has one. task: what it does with waveforms, if it is no emotion model.
    offload: the blocks that are kept on the CPU, where that was asked for.
    """

    backend: LoadableBackend
    cost_key: Hashable
    hop: int
    shortest: int
    dim: int = 0
    head: Head | None = None
    task: Task | None = None
    offload: Offload | None = None


def load(checkpoint: Checkpoint, options: Options, device: str, threads: int) -> LoadedModel:
    """Load a checkpoint for a device; on a CPU it is converted first, once.

    Raises CheckpointError, ModelError where something is not installed, and DeviceError.
    """
    if checkpoint.kind not in EMOTION:
        return _task(checkpoint, options, device, threads)
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    backend, head, offload = (_torch_emotion if runs_torch(options.backend, device) else _openvino_emotion)(
        checkpoint, options, device, threads
    )
    frames = architecture.hop_samples, architecture.receptive_samples
    return LoadedModel(backend, architecture, *frames, architecture.embed_dim, head, offload=offload)


_Emotion = tuple["LoadableBackend", Head | None, "Offload | None"]


def _openvino_emotion(checkpoint: Checkpoint, options: Options, _: str, threads: int) -> _Emotion:
    from overtone.backends.openvino.emotion2vec import OpenvinoBackend

    if options.precision is not None:
        check_precision(options.precision)  # before a conversion, which takes its time
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    found = conversion.converted(checkpoint, options.precision, strict=not options.ignore_unknown_tensors)
    backend = OpenvinoBackend(
        found.folder,
        architecture,
        precision=options.precision or found.precision,
        threads=threads,
        whole=options.whole,
    )
    return backend, read_classifier(found, checkpoint, architecture.embed_dim), None


def _torch_emotion(checkpoint: Checkpoint, options: Options, device: str, threads: int) -> _Emotion:
    from overtone.backends.torch.emotion2vec import TorchBackend
    from overtone.models.emotion2vec.loading import load as load_network

    network, head = load_network(checkpoint, strict=not options.ignore_unknown_tensors)
    backend = TorchBackend(
        network, device=device, precision=options.precision or "fp32", threads=threads, offload=options.offload
    )
    return backend, head, backend.offload


def _task(checkpoint: Checkpoint, options: Options, device: str, threads: int) -> LoadedModel:
    from overtone.backends.task_backend import TaskBackend

    task = task_of(checkpoint)
    backend = TaskBackend(load_graphs(checkpoint, options, device, threads, needed=task.graphs), task)
    shape = checkpoint.kind, checkpoint.text("config.yaml")
    return LoadedModel(backend, shape, task.hop, task.shortest, task=task)


def load_graphs(
    checkpoint: Checkpoint,
    options: Options,
    device: str,
    threads: int,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
    needed: Sequence[str] = (),
) -> Graphs:
    """The graphs of anything but an emotion model, for a device. Errors as for `load`.

    shapes: of a graph's first input, where it is always the same. needed: graphs that there have to be.
    """
    strict = not options.ignore_unknown_tensors
    if runs_torch(options.backend, device):
        from overtone.backends.torch.graphs import TorchGraphs
        from overtone.models.networks import build

        graphs = build(checkpoint, strict=strict)
        return TorchGraphs(graphs, device=device, precision=options.precision or "fp32", threads=threads)
    from overtone.backends.openvino.graphs import OpenvinoGraphs

    if options.precision is not None:
        check_precision(options.precision)  # before a conversion, which takes its time
    found = conversion.converted(checkpoint, options.precision, strict=strict)
    if missing := [graph for graph in needed if graph not in found.graphs]:
        raise CheckpointError(
            f"{checkpoint.name}: the converted model lacks {', '.join(missing)}; convert the published one again."
        )
    precision = options.precision or found.precision
    return OpenvinoGraphs(found.folder, found.graphs, precision=precision, threads=threads, shapes=shapes)
