"""emotion2vec through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from overtone.backends import probing
from overtone.backends.torch_float32 import SWITCHES
from overtone.backends.torch_offload import Offload
from overtone.backends.torch_transfer import Transfer
from overtone.errors import DeviceError, OutOfMemory
from overtone.memory import CostModel, Shape, memory_refusal
from overtone.models.attention import BIAS_BYTES
from overtone.models.emotion2vec import Emotion2vec
from overtone.models.flex import FlexAttend, flex_is_here
from overtone.resources import peak_rss_bytes, processor_name, rss_bytes, trim_heap
from overtone.values import SAMPLE_RATE, Batch, Output

CONTEXT_BYTES = 512 << 20
"""Device memory that CUDA, cuBLAS and cuDNN take for a process beside its tensors, which PyTorch does not count."""

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_TF32_CAPABILITY = (8, 0)
"""Ampere, the first with TF32. Older GPUs take the switch and compute in full, which results must not call tf32."""


def _use_threads(count: int) -> None:
    """Make the calling thread's PyTorch work use `count` threads, and nobody else's.

    `torch.set_num_threads` sets the number for the calling thread and the default for threads yet to come; a
    short-lived thread puts that default back.
    """
    before = torch.get_num_threads()
    if before == count:
        return
    torch.set_num_threads(count)
    restorer = threading.Thread(target=torch.set_num_threads, args=(before,))
    restorer.start()
    restorer.join()


class TorchBackend:
    """See `overtone.backends.base.Backend`.

    threads: PyTorch's own threads for this backend's work on a CPU; set in the thread that calls, and no other.
    So call from a thread that is yours to set: the engine's.
    Raises DeviceError for a device or precision that is not to be had.
    """

    def __init__(
        self, network: Emotion2vec, *, device: str, precision: str, threads: int, offload: bool = False
    ) -> None:
        if precision not in _DTYPES:
            raise DeviceError(
                f"PyTorch runs {', '.join(_DTYPES)}, not {precision}; int8 is for the CPU, with --backend openvino."
            )
        if device == "cpu" and precision != "fp32":
            raise DeviceError(
                f"PyTorch runs fp32 on the CPU; for --precision {precision} there use --backend openvino."
            )
        if precision == "tf32" and torch.cuda.get_device_capability(device) < _TF32_CAPABILITY:
            name = torch.cuda.get_device_name(device)
            raise DeviceError(f"{device} ({name}) has no tf32, which came with Ampere; use --precision fp32 or fp16.")
        self.name, self.version = "torch", str(torch.__version__)
        self.device = device
        self.precision = precision
        self._threads = threads
        self._dtype = _DTYPES[precision]
        self._on_cpu = device == "cpu"
        self._network = network.to(dtype=self._dtype) if offload else network.to(device=device, dtype=self._dtype)
        self.offload = Offload(network, device) if offload else None
        network.fix_slopes()
        self._architecture = network.architecture
        self._transfer = Transfer(device)
        head_dim = self._architecture.embed_dim // self._architecture.num_heads
        self._flex = FlexAttend() if flex_is_here(device, self._dtype, head_dim) else None
        if self._flex is not None:
            network.attend_by(self._flex)

    def interrupt(self) -> None:
        """See Backend. What PyTorch has been given is run to its end; on a GPU that is soon."""

    def run(self, batch: Batch) -> list[Output]:
        """See Backend. The waveforms are normalised over their own lengths here.

        Raises DeviceError where the device answers no more.
        """
        if self._on_cpu:
            _use_threads(self._threads)
        before = self._allocated()
        try:
            with self._float32(), torch.inference_mode():
                return self._run(batch)
        except (RuntimeError, MemoryError) as error:
            refusal = memory_refusal(error)
            if refusal is None:
                self._check_device(error)
                raise
        # Here nothing holds the error any more, whose traceback held the batch's tensors.
        raise OutOfMemory(refusal, left_bytes=self._given_back(before))

    def _float32(self) -> AbstractContextManager[None]:
        """While float32 runs on a GPU it is what was asked for; left to itself PyTorch rounds convolutions to TF32."""
        if self._on_cpu or self._dtype is not torch.float32:
            return nullcontext()
        return SWITCHES.set_to(tf32=self.precision == "tf32")

    def _allocated(self) -> int:
        """Bytes of tensors on the device."""
        return 0 if self._on_cpu else torch.cuda.memory_allocated(self.device)

    def _given_back(self, before: int) -> int:
        """Tidy up after a refusal. Bytes beyond `before` that something still holds; 0 unless there is a leak."""
        if self.offload is not None:
            self.offload.settle()
        if self._on_cpu or self._allocated() > before:
            gc.collect()  # tensors in reference cycles
        self.trim()
        return max(0, self._allocated() - before)

    def _check_device(self, error: Exception) -> None:
        """DeviceError if the error was the device's end. After some faults of CUDA's every call fails, for good."""
        if self._on_cpu:
            return
        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError:
            raise DeviceError(f"{self.device} answers no more ({error})", code="device_lost") from None

    def _run(self, batch: Batch) -> list[Output]:
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

    def _outputs(self, items: list[torch.Tensor], batch: Batch) -> list[Output]:
        """Sums on the device; copies of what comes back, as it stands in memory that the next batch uses."""
        totals = [total.copy() for total in self._transfer.down([rows.double().sum(dim=0) for rows in items])]
        kept: list[Any] = [None] * len(items)
        if batch.want_frames:
            kept = [frames.copy() for frames in self._transfer.down([rows.float() for rows in items])]
        notes = self._notes()
        return [
            Output(len(rows), total, frames, notes=notes)
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

    def used_bytes(self) -> int:
        """See Backend."""
        if self._on_cpu:
            return rss_bytes()
        # What the caching allocator holds is taken from the device, used or not.
        return torch.cuda.memory_reserved(self.device) + CONTEXT_BYTES

    def loose_bytes(self) -> int:
        """See Backend. The caching allocator's free blocks; what is left of blocks in use cannot be given back."""
        if self._on_cpu:
            return 0
        stats = torch.cuda.memory_stats(self.device)
        taken = stats["allocated_bytes.all.current"] + stats["inactive_split_bytes.all.current"]
        return max(0, int(stats["reserved_bytes.all.current"] - taken))

    def peak_bytes(self) -> int:
        """See Backend."""
        if self._on_cpu:
            return peak_rss_bytes()
        return torch.cuda.max_memory_reserved(self.device) + CONTEXT_BYTES

    @property
    def device_name(self) -> str:
        """The hardware's own name, and how it is used as far as a cost depends on it."""
        if self._on_cpu:
            return processor_name()
        weights = "" if self.offload is None else ", offloaded"
        return f"{torch.cuda.get_device_name(self.device)}, {self.attention}{weights}"

    def warm_up(self) -> None:
        """Run a second of noise, so that weights are resident and kernels chosen before anything is measured."""
        self.run(probing.noise(Shape(1, 1.0)))
        if self._flex is not None:
            # Compiled apart: a batch of one, and fewer than 128 tokens, for which there is another kernel.
            for shape in (Shape(2, 1.0), Shape(1, 4.0), Shape(2, 4.0)):
                self.run(probing.noise(shape))

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Runs noise of a few shapes; call `warm_up` before."""
        a = self._architecture
        row_s = a.num_extra_tokens * a.hop_samples / SAMPLE_RATE
        cost = probing.measure(self._probe, longest_s, row_s=row_s, quadratic=False)
        # Attention takes no memory that grows with the square of the length. What a block of it may still grow by
        # beyond these shapes is counted from the start; in one kernel there are no blocks.
        return replace(cost, fixed=cost.fixed + (BIAS_BYTES if self.attention == "blocks" else 0))

    def _probe(self, batch: Batch) -> int:
        """Peak bytes that a batch took on top of what was held before it."""
        self.trim()
        if self._on_cpu:
            return probing.process_peak(self.run, batch)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_reserved(self.device)
        self.run(batch)
        return int(torch.cuda.max_memory_reserved(self.device) - before)

    def trim(self) -> None:
        """See Backend."""
        if self._on_cpu:
            trim_heap()
        else:
            torch.cuda.empty_cache()

    def close(self) -> None:
        """See Backend."""
        del self._network, self._transfer
        self.offload = self._flex = None
        gc.collect()
        with suppress(RuntimeError):  # of a device that answers no more
            self.trim()
