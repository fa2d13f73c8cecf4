"""What every benchmark shares: material, processes whose peak memory is their own, results with their hardware."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
import wave
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
EXAMPLE = ROOT / "examples" / "call.mp3"
RATE = 16_000

PRELUDE = f"""
import json, sys, time
sys.path.insert(0, {str(ROOT / "bench")!r})
arguments = json.loads(sys.argv[1])
def answer(**values):
    from overtone.resources import peak_rss_bytes
    values["peak_bytes"] = peak_rss_bytes()
    print("ANSWER" + json.dumps(values))
"""


def child(code: str, **arguments: Any) -> dict[str, Any]:
    """Run code in a process of its own and return what it gives to `answer`, with its peak memory in `peak_bytes`.

    RuntimeError, with the end of what it wrote, if it dies; a killed process shows a negative code.
    """
    command = [sys.executable, "-W", "ignore", "-c", PRELUDE + code, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER"):
            found: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
            return found
    raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")


def speech() -> npt.NDArray[np.float32]:
    """The example call, 50 s of real turns and pauses."""
    from overtone.audio import Decoder

    with Decoder(str(EXAMPLE)) as decoder:
        return np.concatenate(list(decoder.blocks()))


def write_wav(path: Path, seconds: float, *, start_s: float = 0.0) -> Path:
    """A 16-bit mono file of the example call, over and over, from `start_s` on."""
    call = (speech() * 32767).astype("<i2")
    call = np.roll(call, -round(start_s * RATE))
    left = round(seconds * RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        while left > 0:
            piece = call[:left]
            file.writeframes(piece.tobytes())
            left -= len(piece)
    return path


def write_clips(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """`count` short clips of 1 to 8 s from all over the example call."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_wav(folder / f"{i:05}.wav", random.uniform(1, 8), start_s=random.uniform(0, 49)) for i in range(count)
    ]


def base_checkpoint(folder: Path) -> Path:
    """A checkpoint of the published base shape with seeded random weights: the shape is what costs."""
    from overtone.models import seeded

    if not (folder / "model.pt").exists():
        seeded.write(folder, seeded.BASE)
    return folder


def hardware() -> dict[str, Any]:
    """What the figures were measured on."""
    import psutil

    from overtone.resources import usable_cpus

    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    flags = next((line for line in _cpuinfo() if line.startswith("flags")), "")
    features = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8") if name in flags.split()]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model,
        "features": features,
        "threads": usable_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30)),
        "python": platform.python_version(),
        "system": platform.system(),
        **{name: version(name) for name in ("overtone", "torch", "numpy", "openvino", "av")},
    }


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def save(name: str, figures: dict[str, Any], table: Sequence[Sequence[str]]) -> None:
    """Write `results/<name>.json` and `.md`, and show the table (its first row is the head)."""
    machine = hardware()
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"hardware": machine, "figures": figures}, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    head, *rows = table
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    below = (
        f"{machine['processor']}, {machine['threads']} threads ({', '.join(machine['features'])}), "
        f"{machine['memory_gib']} GiB; torch {machine['torch']}, Python {machine['python']}; {machine['date']}. "
        f"`python bench/{name}.py`"
    )
    markdown = "\n".join([*lines, "", below, ""])
    (RESULTS / f"{name}.md").write_text(markdown, encoding="utf-8")
    print(markdown)


def mib(size: float) -> str:
    """Bytes as whole MiB."""
    return f"{size / (1 << 20):.0f} MiB"
