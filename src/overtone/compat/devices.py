"""Devices as FunASR takes them: one that is not there is the CPU, with a warning."""

from __future__ import annotations

from typing import Any

from overtone.compat.arguments import Arguments
from overtone.errors import DeviceError, UsageError
from overtone.system.devices import resolve_device, resolve_devices

_NOT_RUN = ("mps", "npu", "xpu")
"""Kinds of devices that FunASR knows too. Nothing runs on them here."""


def usable_device(device: Any, arguments: Arguments, where: str) -> str | None:
    """A device as Overtone names it, None where none is named; the CPU where this machine has none of that kind.

    Raises DeviceError for a name that is not known, and for a GPU of a number that is not there, as FunASR does.
    """
    if device is None:
        return None
    if not isinstance(device, str):
        raise UsageError(f"{where}(device={device!r}): a text is meant, such as 'cuda:0' or 'cpu'.")
    name = "cuda:0" if device == "cuda" else str(device)
    if name.partition(":")[0] in _NOT_RUN:
        return _cpu(name, arguments, where, "models run on CUDA and on the CPU here")
    try:
        resolve_devices(name)
    except DeviceError as error:
        if not name.startswith("cuda") or resolve_device("auto") != "cpu":
            raise
        return _cpu(name, arguments, where, str(error).partition(";")[0].rstrip("."))
    return name


def _cpu(device: str, arguments: Arguments, where: str, reason: str) -> str:
    arguments.warn(f"{where} device", f"{where}(device={device!r}): {reason}. It runs on the CPU, as in FunASR.")
    return "cpu"
