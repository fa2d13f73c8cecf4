"""Devices: the one that a name means here, and the runtime for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from overtone.errors import DeviceError
from overtone.wording import param

_CUDA_SIGNS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Files of a machine with a CUDA driver (on Linux, under WSL). Asking PyTorch itself takes a second or two to load
it, which is done where there are no such signs: on Windows."""


def resolve_device(device: str) -> str:
    """Resolve `auto` to a device of this machine, and check any other name. DeviceError, never a silent fallback."""
    if device == "auto":
        return "cuda:0" if _may_have_cuda() and _cuda_devices() else "cpu"
    if device == "cpu":
        return device
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise DeviceError(f"unknown device {device!r}; use auto, cpu, cuda:N, several joined by commas, or cuda:all.")
    if importlib.util.find_spec("torch") is None:
        raise DeviceError(f"{device} takes PyTorch, which is not installed: pip install 'overtone[torch]'.")
    count = _cuda_devices()
    if int(index or 0) >= count:
        seen = f"only {count} CUDA device(s) are seen" if count else "no CUDA device is seen by this PyTorch"
        raise DeviceError(
            f"{device} was asked for, but {seen}; use {param('device', 'cpu')}, or see `overtone doctor`."
        )
    return f"cuda:{int(index or 0)}"


def resolve_devices(devices: str) -> list[str]:
    """Resolve `cuda:0,cuda:1` to each of them, `cuda:all` to all there are, any other as `resolve_device` does."""
    if devices == "cuda:all":
        resolve_device("cuda:0")
        return [f"cuda:{index}" for index in range(_cuda_devices())]
    found = [resolve_device(device.strip()) for device in devices.split(",")]
    if len(found) > 1 and "cpu" in found:
        raise DeviceError(
            f"{devices}: several devices are several GPUs; the CPU runs alone, with {param('device', 'cpu')}."
        )
    if twice := next((device for device in found if found.count(device) > 1), None):
        raise DeviceError(f"{devices} names {twice} twice; a model on one device twice only takes its memory twice.")
    return found


def check_offload(device: str) -> None:
    """Check that blocks can be offloaded; DeviceError without a GPU."""
    if not device.startswith("cuda"):
        raise DeviceError(
            f"{param('offload')} keeps part of a model beside its GPU, and {device} is none; leave it out, or name "
            f"a GPU with {param('device', 'cuda:N')}."
        )


def runs_torch(backend: str, device: str) -> bool:
    """True if PyTorch runs the model. DeviceError where OpenVINO is asked to run on CUDA, or PyTorch is absent."""
    on_cpu = device == "cpu"
    if backend == "openvino" and not on_cpu:
        raise DeviceError(
            f"{param('backend', 'openvino')} runs on the CPU, and the device is {device}; pass "
            f"{param('device', 'cpu')}."
        )
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        raise DeviceError(
            f"{param('backend', 'torch')} takes PyTorch, which is not installed: pip install 'overtone[torch]'."
        )
    return backend == "torch" or not on_cpu


def _may_have_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    return sys.platform == "win32" or any(sign.exists() for sign in _CUDA_SIGNS)


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
