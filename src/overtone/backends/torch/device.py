"""One device as PyTorch uses it: its precision, its memory, and what becomes of a refusal."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

from overtone.backends.memory import DeviceMemory, ProcessMemory
from overtone.backends.torch.memory import CudaMemory
from overtone.backends.torch.tf32 import SWITCHES
from overtone.errors import Code, DeviceError, OutOfMemory
from overtone.system.machine import processor_name
from overtone.system.memory import memory_refusal
from overtone.wording import param

_T = TypeVar("_T")

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_TF32_CAPABILITY = (8, 0)
"""Ampere, the first with TF32. Older GPUs take the switch and compute in full, which results must not call tf32."""


class TorchDevice:
    """A CPU or a CUDA device, for one thread at a time: threads are set in the thread that calls `run`, and no other.

    precision: `fp32`; on CUDA also `tf32`, `bf16`, `fp16`. threads: PyTorch's own on a CPU.
    Raises DeviceError for a device or precision that is not to be had.
    """

    def __init__(self, name: str, precision: str, threads: int) -> None:
        if precision not in _DTYPES:
            raise DeviceError(
                f"PyTorch runs {', '.join(_DTYPES)}, not {precision}; int8 is for the CPU, with "
                f"{param('backend', 'openvino')}."
            )
        if name == "cpu" and precision != "fp32":
            raise DeviceError(
                f"PyTorch runs fp32 on the CPU; for {param('precision', precision)} there use "
                f"{param('backend', 'openvino')}."
            )
        if precision == "tf32" and torch.cuda.get_device_capability(name) < _TF32_CAPABILITY:
            hardware = torch.cuda.get_device_name(name)
            raise DeviceError(
                f"{name} ({hardware}) has no tf32, which came with Ampere; use {param('precision', 'fp32')} or fp16."
            )
        self.name, self.precision = name, precision
        self.dtype = _DTYPES[precision]
        self.on_cpu = name == "cpu"
        self._threads = threads
        self.memory: DeviceMemory = ProcessMemory() if self.on_cpu else CudaMemory(name)

    def run(self, work: Callable[[], _T], settle: Callable[[], None] = lambda: None) -> _T:
        """Do `work` in this device's precision. Raises OutOfMemory with nothing kept, after `settle`, where it does not
        fit, and DeviceError where the device answers no more."""
        if self.on_cpu:
            _use_threads(self._threads)
        before = self._allocated()
        try:
            with self._float32(), torch.inference_mode():
                return work()
        except (RuntimeError, MemoryError) as error:
            refusal = memory_refusal(error)
            if refusal is None:
                self._check(error)
                raise
        # Here nothing holds the error any more, whose traceback held the batch's tensors.
        settle()
        raise OutOfMemory(refusal, left_bytes=self._given_back(before))

    def _float32(self) -> AbstractContextManager[None]:
        """While float32 runs on a GPU it is what was asked for; left to itself PyTorch rounds convolutions to TF32."""
        if self.on_cpu or self.dtype is not torch.float32:
            return nullcontext()
        return SWITCHES.precision(tf32=self.precision == "tf32")

    def _allocated(self) -> int:
        """Bytes of tensors on the device."""
        return 0 if self.on_cpu else torch.cuda.memory_allocated(self.name)

    def _given_back(self, before: int) -> int:
        """Tidy up after a refusal. Bytes beyond `before` that something still holds; 0 unless there is a leak."""
        if self.on_cpu or self._allocated() > before:
            gc.collect()  # tensors in reference cycles
        self.memory.trim()
        return max(0, self._allocated() - before)

    def _check(self, error: Exception) -> None:
        """DeviceError if the error was the device's end. After some faults of CUDA's every call fails, for good."""
        if self.on_cpu:
            return
        try:
            torch.cuda.synchronize(self.name)
        except RuntimeError:
            raise DeviceError(f"{self.name} answers no more ({error})", code=Code.DEVICE_LOST) from None

    @property
    def hardware(self) -> str:
        """Its own name."""
        return processor_name() if self.on_cpu else torch.cuda.get_device_name(self.name)


def _use_threads(count: int) -> None:
    """Make the calling thread's PyTorch work use `count` threads, and no other thread's.

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
