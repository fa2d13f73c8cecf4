"""emotion2vec through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from overtone.errors import DeviceError, OutOfMemory
from overtone.memory import CostModel, Shape, memory_refusal
from overtone.models.attention import BIAS_BYTES
from overtone.models.emotion2vec import Emotion2vec
from overtone.resources import PeakSampler, peak_rss_bytes, processor_name, rss_bytes, trim_heap
from overtone.values import SAMPLE_RATE, Batch, Output

CONTEXT_BYTES = 512 << 20
"""Device memory that CUDA, cuBLAS and cuDNN take for a process beside its tensors, which PyTorch does not count."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str) -> str:
    """`auto` to what is there, anything else checked. DeviceError, never a silent fallback."""
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise DeviceError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        seen = f"only {count} CUDA device(s) are seen" if count else "no CUDA device is seen by this PyTorch"
        raise DeviceError(f"{device} was asked for, but {seen}; use --device cpu, or see `overtone doctor`.")
    return f"cuda:{int(index or 0)}"


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
            raise DeviceError(f"{precision} is for CUDA devices; on the CPU use --precision fp32.")
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
        self._probe(Shape(1, 1.0))

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Runs noise of a few shapes, 46 s of audio at the most; call `warm_up` before."""
        seconds = [min(longest_s, s) for s in (2.0, 8.0, 20.0)]
        shapes = [Shape(1, s) for s in sorted(set(seconds))] + [Shape(4, min(longest_s, 4.0))]
        began = time.perf_counter()
        # Attention goes block by block. What a block may still grow by beyond these shapes is counted from the start.
        cost = CostModel.fit([(shape, self._probe(shape)) for shape in shapes], quadratic=False)
        elapsed = time.perf_counter() - began
        return replace(cost, fixed=cost.fixed + BIAS_BYTES, rtf=elapsed / sum(shape.padded_s for shape in shapes))

    def _probe(self, shape: Shape) -> int:
        """Peak bytes that a batch of this shape took on top of what was held before it."""
        samples = round(shape.seconds * SAMPLE_RATE)
        noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        # One row shorter than the rest, so that the masks of a ragged batch are part of the cost.
        rows = [noise] * (shape.rows - 1) + [noise[: max(samples * 9 // 10, min(samples, 400))]]
        batch = Batch(tuple(rows), samples, want_frames=True)
        self.trim()
        if self._on_cpu:
            before = rss_bytes()
            with PeakSampler() as sampler:
                self.run(batch)
            return max(0, sampler.peak_bytes - before)
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
