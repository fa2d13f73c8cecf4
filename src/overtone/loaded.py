"""A checkpoint loaded into the backend that runs it: OpenVINO on a CPU, PyTorch on CUDA or where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from overtone import conversion
from overtone.checkpoints import Checkpoint
from overtone.converted import read_head
from overtone.devices import runs_torch
from overtone.head import Head
from overtone.models.architecture import Architecture
from overtone.options import Options

if TYPE_CHECKING:
    from overtone.backends.base import LoadableBackend
    from overtone.backends.torch_offload import Offload


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network in its backend. `offload`: the blocks that are kept on the CPU, where that was asked for."""

    backend: LoadableBackend
    architecture: Architecture
    head: Head | None
    offload: Offload | None = None


def load(checkpoint: Checkpoint, options: Options, device: str, threads: int) -> Loaded:
    """Load a checkpoint for a device; on a CPU it is converted first, once.

    Raises CheckpointError, ModelError where something is not installed, and DeviceError.
    """
    strict = not options.ignore_unknown_tensors
    if runs_torch(options.backend, device):
        return _through_torch(checkpoint, options, device, threads, strict=strict)
    from overtone.backends.openvino_backend import OpenvinoBackend, check_precision

    if options.precision is not None:
        check_precision(options.precision)  # before a conversion, which takes its time
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    found = conversion.converted(checkpoint, options.precision, strict=strict)
    backend = OpenvinoBackend(
        found.folder,
        architecture,
        precision=options.precision or found.precision,
        threads=threads,
        whole=options.whole,
    )
    return Loaded(backend, architecture, read_head(found, checkpoint, architecture.embed_dim))


def _through_torch(checkpoint: Checkpoint, options: Options, device: str, threads: int, *, strict: bool) -> Loaded:
    from overtone.backends.torch_backend import TorchBackend
    from overtone.models.loading import load as load_network

    network, head = load_network(checkpoint, strict=strict)
    backend = TorchBackend(
        network, device=device, precision=options.precision or "fp32", threads=threads, offload=options.offload
    )
    return Loaded(backend, network.architecture, head, backend.offload)
