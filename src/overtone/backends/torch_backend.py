"""emotion2vec through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F

from overtone.backends import probing
from overtone.errors import DeviceError, OutOfMemory
from overtone.memory import CostModel, Shape, memory_refusal
from overtone.models.attention import BIAS_BYTES
from overtone.models.emotion2vec import Emotion2vec
from overtone.resources import peak_rss_bytes, processor_name, rss_bytes, trim_heap
from overtone.values import Batch, Output

CONTEXT_BYTES = 512 << 20
"""Device memory that CUDA, cuBLAS and cuDNN take for a process beside its tensors, which PyTorch does not count."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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

    def __init__(self, network: Emotion2vec, *, device: str, precision: str, threads: int) -> None:
        if precision not in _DTYPES:
            raise DeviceError(f"unknown precision {precision!r}; use one of {', '.join(_DTYPES)}.")
        if device == "cpu" and precision != "fp32":
            raise DeviceError(
                f"PyTorch runs fp32 on the CPU; for --precision {precision} there use --backend openvino."
            )
        self.name, self.version = "torch", torch.__version__
        self.device = device
        self.precision = precision
        self._threads = threads
        self._dtype = _DTYPES[precision]
        self._on_cpu = device == "cpu"
        self._network = network.to(device=device, dtype=self._dtype)
        self._architecture = network.architecture

    def run(self, batch: Batch) -> list[Output]:
        """See Backend. The waveforms are normalised over their own lengths here."""
        with self._memory_watched(), self._full_float32(), torch.inference_mode():
            return self._run(batch)

    @contextmanager
    def _full_float32(self) -> Iterator[None]:
        """While fp32 runs on a GPU, convolutions keep all of it; left to itself PyTorch lets cuDNN round to TF32."""
        if self._on_cpu or self._dtype is not torch.float32:
            yield
            return
        cudnn = torch.backends.cudnn
        now = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**now, allow_tf32=False):
            yield

    def _run(self, batch: Batch) -> list[Output]:
        architecture = self._architecture
        counts = [architecture.frames_of(len(waveform)) for waveform in batch.waveforms]
        padded = torch.zeros(len(counts), batch.padded)
        for row, waveform in zip(padded, batch.waveforms, strict=True):
            samples = torch.from_numpy(waveform)
            row[: len(waveform)] = F.layer_norm(samples, samples.shape) if architecture.normalize else samples
        waveforms = padded.to(self.device, self._dtype)
        frames = torch.tensor(counts, device=self.device)
        ragged = any(count != architecture.frames_of(batch.padded) for count in counts)
        embeddings = self._network(waveforms, frames if ragged else None)
        return [self._output(row[:count], batch) for row, count in zip(embeddings, counts, strict=True)]

    @staticmethod
    def _output(rows: torch.Tensor, batch: Batch) -> Output:
        total = rows.double().sum(dim=0).cpu().numpy()
        # A copy, so that a segment's frames do not keep the whole padded batch alive.
        kept = rows.float().cpu().numpy().copy() if batch.want_frames else None
        return Output(len(rows), total, kept)

    @contextmanager
    def _memory_watched(self) -> Iterator[None]:
        """Turn a refused allocation into OutOfMemory, once the traceback no longer holds the tensors."""
        if self._on_cpu:
            _use_threads(self._threads)
        refusal: str | None = None
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            refusal = memory_refusal(error)
            if refusal is None:
                raise
        if refusal is not None:
            gc.collect()
            self.trim()
            raise OutOfMemory(refusal)

    def used_bytes(self) -> int:
        """See Backend."""
        if self._on_cpu:
            return rss_bytes()
        # What the caching allocator holds is taken from the device, used or not.
        return torch.cuda.memory_reserved(self.device) + CONTEXT_BYTES

    def peak_bytes(self) -> int:
        """See Backend."""
        if self._on_cpu:
            return peak_rss_bytes()
        return torch.cuda.max_memory_reserved(self.device) + CONTEXT_BYTES

    @property
    def device_name(self) -> str:
        """The hardware's own name, as far as a cost depends on it."""
        return processor_name() if self._on_cpu else torch.cuda.get_device_name(self.device)

    def warm_up(self) -> None:
        """Run a second of noise, so that weights are resident and kernels chosen before anything is measured."""
        self.run(probing.noise(Shape(1, 1.0)))

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Runs noise of a few shapes; call `warm_up` before."""
        cost = probing.measure(self._probe, longest_s, quadratic=False)
        # Attention goes block by block. What a block may still grow by beyond these shapes is counted from the start.
        return replace(cost, fixed=cost.fixed + BIAS_BYTES)

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
        del self._network
        gc.collect()
        self.trim()
