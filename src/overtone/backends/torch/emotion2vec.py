"""emotion2vec through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from overtone.backends import cost_probe
from overtone.backends.torch.device import TorchDevice
from overtone.backends.torch.offload import Offload
from overtone.backends.torch.transfer import Transfer
from overtone.batching.cost_model import CostModel, Shape
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.layers.alibi_attention import BIAS_BYTES
from overtone.models.layers.flex_attention import FlexAttend, flex_available
from overtone.types import SAMPLE_RATE, Batch, EmotionOutput


class TorchBackend:
    """See `Backend`.

    threads: PyTorch's own threads for this backend's work on a CPU; set in the thread that calls, and no other.
    So call from a thread that is yours to set: the engine's.
    Raises DeviceError for a device or precision that is not to be had.
    """

    def __init__(
        self, network: Emotion2vec, *, device: str, precision: str, threads: int, offload: bool = False
    ) -> None:
        self._device = TorchDevice(device, precision, threads)
        self.name, self.version = "torch", str(torch.__version__)
        self.device, self.precision = device, precision
        self._dtype = self._device.dtype
        self._network = network.to(dtype=self._dtype) if offload else network.to(device=device, dtype=self._dtype)
        self.offload = Offload(network, device) if offload else None
        network.set_alibi_slopes()
        self._architecture = network.architecture
        self._transfer = Transfer(device)
        head_dim = self._architecture.embed_dim // self._architecture.num_heads
        self._flex = FlexAttend() if flex_available(device, self._dtype, head_dim) else None
        if self._flex is not None:
            network.set_attention(self._flex)

    def preempt(self) -> None:
        """See Backend. What PyTorch has been given is run to its end; on a GPU that is soon."""

    def run(self, batch: Batch) -> list[EmotionOutput]:
        """See Backend. The waveforms are normalised over their own lengths here.

        Raises DeviceError where the device answers no more.
        """
        return self._device.run(partial(self._run, batch), self._settle)

    def _settle(self) -> None:
        if self.offload is not None:
            self.offload.clear()

    def _run(self, batch: Batch) -> list[EmotionOutput]:
        architecture = self._architecture
        counts = [architecture.frames_of(len(waveform)) for waveform in batch.waveforms]
        padded = self._transfer.buffer(len(counts), batch.padded)
        for row, waveform in zip(padded, batch.waveforms, strict=True):
            samples = torch.from_numpy(waveform)
            row[: len(waveform)] = F.layer_norm(samples, samples.shape) if architecture.normalize else samples
        waveforms = self._transfer.up(padded, self._dtype)
        frames = torch.tensor(counts, device=self.device)
        ragged = any(count != architecture.frames_of(batch.padded) for count in counts)
        embeddings = self._network(waveforms, frames if ragged else None)
        return self._outputs([row[:count] for row, count in zip(embeddings, counts, strict=True)], batch)

    def _outputs(self, items: list[torch.Tensor], batch: Batch) -> list[EmotionOutput]:
        """Sums on the device; copies of what comes back, as it stands in memory that the next batch uses."""
        totals = [total.copy() for total in self._transfer.down([rows.double().sum(dim=0) for rows in items])]
        kept: list[Any] = [None] * len(items)
        if batch.want_frames:
            kept = [frames.copy() for frames in self._transfer.down([rows.float() for rows in items])]
        notes = self._notes()
        return [
            EmotionOutput(len(rows), total, frames, notes=notes)
            for rows, total, frames in zip(items, totals, kept, strict=True)
        ]

    @property
    def attention(self) -> str:
        """How it attends: `flex`, in one kernel, or `blocks`, block by block."""
        return "blocks" if self._flex is None or self._flex.fault is not None else "flex"

    def _notes(self) -> tuple[str, ...]:
        """What is unusual about how this backend runs."""
        offloaded = () if self.offload is None else self.offload.notes()
        if self._flex is None or self._flex.fault is None:
            return offloaded
        return (
            *offloaded,
            f"attention ran block by block on {self.device}: FlexAttention failed ({self._flex.fault})",
        )

    def allocated_bytes(self) -> int:
        """See Backend."""
        return self._device.allocated_bytes()

    def reclaimable_bytes(self) -> int:
        """See Backend."""
        return self._device.reclaimable_bytes()

    def peak_bytes(self) -> int:
        """See Backend."""
        return self._device.peak_bytes()

    @property
    def device_name(self) -> str:
        """The hardware's own name, and how it is used as far as a cost depends on it."""
        if self._device.on_cpu:
            return self._device.hardware
        weights = "" if self.offload is None else ", offloaded"
        return f"{self._device.hardware}, {self.attention}{weights}"

    def warm_up(self) -> None:
        """Run a second of noise, so that weights are resident and kernels chosen before anything is measured."""
        self.run(cost_probe.noise(Shape(1, 1.0)))
        if self._flex is not None:
            # Compiled apart: a batch of one, and fewer than 128 tokens, for which there is another kernel.
            for shape in (Shape(2, 1.0), Shape(1, 4.0), Shape(2, 4.0)):
                self.run(cost_probe.noise(shape))

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Runs noise of a few shapes; call `warm_up` before."""
        a = self._architecture
        row_s = a.num_extra_tokens * a.hop_samples / SAMPLE_RATE
        cost = cost_probe.measure(partial(self._device.probe, self.run), longest_s, row_s=row_s, quadratic=False)
        # Attention takes no memory that grows with the square of the length. What a block of it may still grow by
        # beyond these shapes is counted from the start; in one kernel there are no blocks.
        return replace(cost, fixed=cost.fixed + (BIAS_BYTES if self.attention == "blocks" else 0))

    def trim(self) -> None:
        """See Backend."""
        self._device.trim()

    def close(self) -> None:
        """See Backend."""
        del self._network, self._transfer
        self.offload = self._flex = None
        gc.collect()
        with suppress(RuntimeError):  # of a device that answers no more
            self.trim()
