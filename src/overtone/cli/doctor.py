"""`overtone doctor`: resources of this machine, problems, and the settings that help."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import psutil

import overtone
from overtone.audio import Decoder, DecoderPool
from overtone.backends.openvino import compiled_model
from overtone.backends.openvino import module as runtime
from overtone.cli import console
from overtone.cli.amx import amx_advice
from overtone.errors import OvertoneError
from overtone.models import checkpoints
from overtone.models.hub import BUNDLED
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.segmentation import silero_vad
from overtone.system import machine
from overtone.system.assets import asset
from overtone.system.memory import GIB, check_address_space, format_size, memory_error, memory_remedy
from overtone.types import SAMPLE_RATE

_TRAPS = {
    "HF_HUB_OFFLINE": "keeps models from being fetched",
    "CUDA_VISIBLE_DEVICES": "hides GPUs that are not in it",
}

_EXTRAS = {
    "int8": "nncf",
    "plot": "matplotlib",
    "parquet": "pyarrow",
    "modelscope": "modelscope",
    "torch": "torch",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `level` is ok, note or bad."""

    level: str
    what: str
    detail: str


def doctor() -> int:
    """Look at this machine: cores, memory, devices, decoders, models, settings. Exits 4 if something is broken."""
    marks = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[bold red]bad [/]"}
    worst = 0
    for look in _LOOKS:
        for finding in _found(look):
            console.out.print(
                f"{marks[finding.level]} [bold]{finding.what}[/]  {console.shown(finding.detail)}", soft_wrap=True
            )
            worst = max(worst, 4 if finding.level == "bad" else 0)
    return worst


def _found(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a look, or that there was no memory for it."""
    try:
        yield from look()
    except (ImportError, OSError, MemoryError, RuntimeError) as error:
        if (refused := memory_error(error)) is None:
            raise
        yield Finding("bad", look.__name__.strip("_"), str(refused))


def _unless_memory(error: Exception, otherwise: str) -> str:
    """The remedy for a library that cannot be loaded: more memory, where that is why."""
    return otherwise if memory_error(error) is None else memory_remedy()


def _system() -> Iterator[Finding]:
    yield Finding(
        "ok", "overtone", f"{overtone.__version__}, Python {platform.python_version()}, {platform.platform()}"
    )


def _cores() -> Iterator[Finding]:
    host, usable, quota = os.cpu_count() or 1, machine.usable_cpus(), machine.cgroup_cpu_quota()
    granted = f", the container's quota is {quota:g}" if quota else ""
    yield Finding("ok", "cores", f"{usable} usable of {host} on the machine{granted}")


def _memory() -> Iterator[Finding]:
    total, left = psutil.virtual_memory().total, machine.available_bytes()
    budget = machine.default_budget_bytes()
    limit = machine.cgroup_memory_left()
    within = "" if limit is None else f", the container leaves {format_size(limit)}"
    level = "ok" if left > GIB else "note"
    yield Finding(
        level,
        "memory",
        f"{format_size(left)} free of {format_size(total)}{within}; a run takes {format_size(budget)} unless --memory",
    )
    try:
        check_address_space(0, 1)
    except OvertoneError as error:
        yield Finding("bad", "memory", str(error))
    if psutil.swap_memory().used > GIB:
        yield Finding("note", "swap", f"{format_size(psutil.swap_memory().used)} in use; a run that swaps is slow")


def _openvino() -> Iterator[Finding]:
    try:
        bf16 = compiled_model.has_fast_bf16()
        yield Finding("ok", "openvino", f"{runtime.version()}, bf16 is {'fast' if bf16 else 'not fast'} here")
    except (ImportError, OSError, RuntimeError) as error:
        remedy = _unless_memory(error, "reinstall it with pip install openvino")
        yield Finding("bad", "openvino", f"cannot be loaded ({error}); {remedy}")
        return
    if (advice := amx_advice()) is not None:
        yield Finding("ok", "amx", f"{advice}; overtone tune measures both on your audio")


def _torch() -> Iterator[Finding]:
    if not _version("torch"):
        hint = "not installed; only published checkpoints and CUDA need it: pip install 'overtone[torch]'"
        yield Finding("ok", "torch", hint)
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        remedy = _unless_memory(error, "reinstall it with pip install torch")
        yield Finding("bad", "torch", f"cannot be loaded ({error}); {remedy}")
        return
    capability = torch.backends.cpu.get_cpu_capability()
    level = "note" if capability in ("DEFAULT", "NO AVX") else "ok"
    yield Finding(level, "torch", f"{torch.__version__}, processor features: {capability}")
    if not torch.cuda.is_available():
        yield Finding("ok", "gpu", "none seen by PyTorch; models run on the processor")
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding("ok", f"cuda:{index}", f"{name}, {format_size(free)} free of {format_size(total)}")
    if "expandable_segments" not in (loading.environment("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF") or ""):
        # PyTorch has the newer name from 2.9 on, and before that knows only the older.
        name = "PYTORCH_ALLOC_CONF" if _release(torch.__version__) >= (2, 9) else "PYTORCH_CUDA_ALLOC_CONF"
        why = "batches of many lengths cut the device's memory into pieces that fit no other; with it they grow instead"
        yield Finding("note", "gpu memory", f"set {name}=expandable_segments:True: {why}")


def _audio() -> Iterator[Finding]:
    import av

    ffmpeg = ".".join(map(str, av.library_versions["libavformat"]))
    found = f"PyAV {av.__version__}, libavformat {ffmpeg}, {len(av.codecs_available)} codecs"
    try:
        with closing(DecoderPool(1)) as pool, Decoder(asset("speech", "held-out.mp3"), pool=pool) as decoder:
            block = next(decoder.blocks())
    except Exception as error:  # noqa: BLE001 - whatever it is, no file can be read
        remedy = _unless_memory(error, "reinstall overtone with its own PyAV")
        yield Finding("bad", "audio", f"{found}; decoding an MP3 fails ({error}); {remedy}")
        return
    yield Finding("ok", "audio", f"{found}; {len(block) / SAMPLE_RATE:.1f} s of an MP3 decoded")


def _vad() -> Iterator[Finding]:
    try:
        silero_vad.SileroVad().stream()
    except (OvertoneError, ImportError, RuntimeError) as error:
        yield Finding("bad", "vad", str(memory_error(error) or error))
        return
    yield Finding("ok", "vad", "Silero, from inside this package")


def _models() -> Iterator[Finding]:
    try:
        found = checkpoints.find(BUNDLED)
    except OvertoneError as error:
        yield Finding("bad", "tiny", str(error))
        return
    yield Finding("ok", "tiny", f"{format_size(found.weight_bytes)}, {len(found.labels() or ())} classes")


def _folders() -> Iterator[Finding]:
    folder = loading.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        yield Finding("ok", "cache", str(folder))
    else:
        yield Finding("note", "cache", f"{folder} cannot be written: every start measures anew; set OVERTONE_CACHE")


def _extras() -> Iterator[Finding]:
    for extra, package in _EXTRAS.items():
        found = _version(package)
        hint = f"not installed: pip install 'overtone[{extra}]'"
        yield Finding("ok" if found else "note", extra, f"{package} {found}" if found else hint)


def _settings() -> Iterator[Finding]:
    for name, meaning in _TRAPS.items():
        if (value := loading.environment(name)) is not None:
            yield Finding("note", name, f"is {value!r}: {meaning}")
    try:
        loading.load(Options)
    except OvertoneError as error:
        yield Finding("bad", "settings", str(error))


def _release(version: str) -> tuple[int, ...]:
    """`2.13.0+cu130` as (2, 13)."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _system,
    _cores,
    _memory,
    _openvino,
    _torch,
    _audio,
    _vad,
    _models,
    _folders,
    _extras,
    _settings,
)
