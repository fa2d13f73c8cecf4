"""Shared parts of the benchmarks: material, processes with a separate peak memory, results with their hardware."""

from __future__ import annotations

import datetime
import functools
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from overtone.models.emotion2vec.config import Architecture

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
EXAMPLE = ROOT / "examples" / "call.mp3"
RATE = 16_000

PRELUDE = f"""
import json, sys, time
sys.path.insert(0, {str(ROOT / "bench")!r})
arguments = json.loads(sys.argv[1])
def answer(**values):
    from overtone.system.machine import peak_rss_bytes
    values["peak_bytes"] = peak_rss_bytes()
    print("ANSWER" + json.dumps(values))
"""


def child(code: str, **arguments: Any) -> dict[str, Any]:
    """Run code in a child process and return what it gives to `answer`, with its peak memory in `peak_bytes`.

    RuntimeError, with the end of its output, if it dies; a killed process shows a negative code.
    """
    command = [sys.executable, "-W", "ignore", "-c", PRELUDE + code, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER"):
            found: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
            return found
    raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")


def prepare(**options: Any) -> None:
    """Do the work done once for a model with these options, in a child process: convert it, measure its costs."""
    child("from overtone import EmotionRecognizer\nEmotionRecognizer(**arguments).close()\nanswer()", **options)


@functools.cache
def speech() -> npt.NDArray[np.float32]:
    """The example call, 50 s of real turns and pauses."""
    from overtone.audio import Decoder

    with Decoder(str(EXAMPLE)) as decoder:
        return np.concatenate(list(decoder.blocks()))


def write_wav(path: Path, seconds: float, *, start_s: float = 0.0) -> Path:
    """A 16-bit mono file of the example call, over and over, from `start_s` on."""
    from overtone.tools.benchmark import write_wav

    return write_wav(path, speech(), seconds, start_s=start_s)


def write_clips(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """`count` short clips of 1 to 8 s from all over the example call."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_wav(folder / f"{i:05}.wav", random.uniform(1, 8), start_s=random.uniform(0, 49)) for i in range(count)
    ]


def base_checkpoint(folder: Path, shape: str = "base") -> Path:
    """A checkpoint of a published shape, `base` or `large`, with seeded random weights: the shape is what costs.

    `small` is for trials."""
    from overtone.models.emotion2vec import random_checkpoint

    if not (folder / "configuration.json").exists():  # written last
        shapes = {"base": random_checkpoint.BASE, "large": random_checkpoint.LARGE, "small": random_checkpoint.SMALL}
        random_checkpoint.write(folder, shapes[shape])
    return folder


def flops_by_part(architecture: Architecture, seconds: float) -> dict[str, float]:
    """Floating-point operations of the network for audio that runs whole: two for each multiplication and addition.

    `features`: convolutions and the projection to the transformer's width. `positions`: the positional convolutions.
    `encoder`: the transformer's blocks. Only matrix products and convolutions count; norms, activations, softmax and
    ALiBi's bias are work that a processor does beside them, and the classifier sees one vector for a whole file.
    """
    a = architecture
    samples, channels, features = round(seconds * RATE), 1, 0.0
    for width, kernel, stride in a.conv_layers:
        # `FeatureExtractor`: valid convolutions, so each output sees `kernel` samples of each channel below.
        samples = (samples - kernel) // stride + 1
        features += 2.0 * samples * kernel * channels * width
        channels = width
    frames, dim = samples, a.embed_dim
    features += 2.0 * frames * channels * dim  # `project_features`
    # `PositionalEncoder`: each output channel sees the channels of its own group only.
    positions = a.conv_pos_depth * 2.0 * frames * a.conv_pos_kernel * (dim / a.conv_pos_groups) * dim
    tokens = frames + a.num_extra_tokens
    hidden = int(dim * a.mlp_ratio)
    projections = 2.0 * tokens * dim * (3 * dim + dim)  # `Attention.qkv` and `.proj`
    feed_forward = 2.0 * tokens * dim * 2 * hidden  # `Mlp.fc1` and `.fc2`
    attention = 2.0 * tokens * tokens * dim * 2  # queries by keys, and weights by values, over all heads
    blocks = a.prenet_depth + a.depth
    return {"features": features, "positions": positions, "encoder": blocks * (projections + feed_forward + attention)}


def flops(architecture: Architecture, seconds: float) -> float:
    """Floating-point operations of the network for audio that runs whole; see `flops_by_part`."""
    return sum(flops_by_part(architecture, seconds).values())


def hardware() -> dict[str, Any]:
    """The hardware and versions that figures were measured on."""
    import psutil

    from overtone.system.machine import processor_name, usable_cpus

    flags = next((line for line in _cpuinfo() if line.startswith("flags")), "")
    features = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8") if name in flags.split()]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor_name(),
        "features": features,
        "threads": usable_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30)),
        "python": platform.python_version(),
        "system": platform.system(),
        **{name: _version(name) for name in ("overtone", "torch", "numpy", "openvino", "av", "nncf", "funasr")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


Table = Sequence[Sequence[str]]


def markdown(table: Table) -> str:
    """A table in Markdown; its first row is the head."""
    head, *rows = table
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def save(
    name: str,
    figures: dict[str, Any],
    *tables: Table,
    command: str | None = None,
    packages: Sequence[str] = (),
    machine: dict[str, Any] | None = None,
) -> None:
    """Write `results/<name>.json` and `.md`, and show the tables.

    - `command`: the one used, if not `name`'s script.
    - `packages`: others that were measured, of `hardware`, named below the tables with their versions.
    - `machine`: what `hardware` said when that was measured, if not now.
    """
    machine = hardware() if machine is None else machine
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"hardware": machine, "figures": figures}, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    below = (
        f"{machine['processor']}, {machine['threads']} threads ({', '.join(machine['features'])}), "
        f"{machine['memory_gib']} GiB; torch {machine['torch']}, OpenVINO {machine['openvino']}, "
        f"{''.join(f'{package} {machine[package]}, ' for package in packages if machine.get(package))}Python "
        f"{machine['python']}; {machine['date']}. `{command or f'python bench/{name}.py'}`\n"
    )
    page = "\n".join([*map(markdown, tables), below])
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)


def seconds_of(seconds: float) -> str:
    """Seconds with three digits that count."""
    return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"


def spread(times_s: Sequence[float]) -> str:
    """The median of some times, with the least and the most in brackets where there are several."""
    middle = seconds_of(statistics.median(times_s))
    if len(times_s) < 2:
        return middle
    least, most = (seconds_of(found(times_s)).removesuffix(" s") for found in (min, max))
    return f"{middle} ({least}–{most})"


def mib(size: float) -> str:
    """Bytes as whole MiB."""
    return f"{size / (1 << 20):.0f} MiB"
