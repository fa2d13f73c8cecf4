"""Resources of the machine: cores, memory, devices. Only this module asks the system for them."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Bytes. cgroup v1 says "no limit" with a number near 2^63."""


def usable_cpus() -> int:
    """Cores this process may use: its affinity, and no more than its cgroup's quota. At least 1.

    A container that is given 2 cores of a 72-core host says 72 almost everywhere else.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = cgroup_cpu_quota()
    return max(1, min(count, math.ceil(quota))) if quota else max(1, count)


def cgroup_cpu_quota() -> float | None:
    """Cores' worth of time per second that the cgroup grants, or None for no limit."""
    quotas = []
    for folder in _cgroup_folders("cpu"):
        text = _read(folder / "cpu.max")
        if text and not text.startswith("max"):
            quota, period = text.split()[:2]
            quotas.append(int(quota) / int(period))
        old_quota, old_period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if old_quota and old_period and int(old_quota) > 0:
            quotas.append(int(old_quota) / int(old_period))
    return min(quotas, default=None)


def cgroup_memory_left() -> int | None:
    """Bytes that the cgroup (or any above it) still grants, or None for no limit."""
    left = []
    for folder in _cgroup_folders("memory"):
        for limit_name, use_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _read(folder / limit_name), _read(folder / use_name)
            if limit and used and limit.isdigit() and int(limit) < _UNLIMITED:
                # Page cache counts as use, but gives way.
                left.append(int(limit) - int(used) + _inactive_file(folder))
    return max(0, min(left)) if left else None


def _inactive_file(folder: Path) -> int:
    for line in _read(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """This process's cgroup folders for a controller, innermost first, up to the mounted root."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            root = _CGROUP
        elif controller in controllers.split(","):
            root = _CGROUP / controller
        else:
            continue
        folder = root / path.lstrip("/")
        while folder != root and root in folder.parents:
            yield folder
            folder = folder.parent
        yield root


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""


def processor_name() -> str:
    """The processor's name where the system has it, else its architecture."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_amx() -> bool:
    """True if the processor multiplies bf16 in tiles (Intel's AMX); False where the system does not tell."""
    flags = next((line for line in _read(Path("/proc/cpuinfo")).splitlines() if line.startswith("flags")), "")
    return {"amx_tile", "amx_bf16"} <= {*flags.partition(":")[2].split()}


def rss_bytes() -> int:
    """Resident memory of this process now."""
    return int(psutil.Process().memory_info().rss)


def held_bytes(others: Iterable[int] = ()) -> int:
    """Resident memory of this process, and of others by their ids, now.

    Of the others, what they share with processes is counted by their share of it, where the system tells.
    """
    return rss_bytes() + sum(map(_share_bytes, others))


def _share_bytes(pid: int) -> int:
    try:
        found = psutil.Process(pid).memory_full_info()
    except psutil.Error:  # it has ended, or is not this user's
        return 0
    return int(getattr(found, "pss", found.uss))


def peak_rss_bytes() -> int:
    """Highest resident memory of this process since it began."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    # Not getrusage where it can be helped: its figure outlives exec, and starts from what the parent held.
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    # Kilobytes, but for macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int:
    """Bytes this process could still take: those that the machine and the cgroup leave."""
    machine = int(psutil.virtual_memory().available)
    cgroup = cgroup_memory_left()
    return machine if cgroup is None else min(machine, cgroup)


def default_budget_bytes(margin: float = 0.2) -> int:
    """Default budget of the whole process: the bytes it holds now and those that are left, less a margin."""
    return int(rss_bytes() + available_bytes() * (1 - margin))


def trim_heap() -> None:
    """Ask the C library to give free heap back to the system; a no-op where it cannot."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):  # musl has neither
            return


_MADV_DONTNEED = 4
"""Linux's number. On a file's mapping: the pages leave this process, and come from the file again if they are read."""


def mapped_spans(name: str) -> list[tuple[int, int]]:
    """Address and bytes of each stretch of this process's memory that a file is mapped to, read-only. Linux only.

    name: the file's absolute path, as the system shows it; it ends in ` (deleted)` for a file without a name.
    """
    found: list[tuple[int, int]] = []
    for line in _read(Path("/proc/self/maps")).splitlines():
        # address range, permissions, offset, device, inode, path; what was written to is not the file's any more.
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == name and "w" not in fields[1]:
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            if found and sum(found[-1]) == begin:
                found[-1] = (found[-1][0], end - found[-1][0])
            else:
                found.append((begin, end - begin))
    return found


def drop_spans(spans: Iterable[tuple[int, int]]) -> None:
    """Drop the pages of a file where it is mapped (`mapped_spans`); they are read again if they are wanted. The
    stretches have to be mapped still."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for begin, size in spans:
        libc.madvise(begin, size, _MADV_DONTNEED)


def standard_input() -> BinaryIO:
    """Standard input, for bytes."""
    return sys.stdin.buffer
