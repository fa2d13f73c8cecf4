"""Cost of installing: the core in a fresh environment, its size, its time, and how soon it gives a first result.

    python bench/install.py [--repeats 5]

Takes the package registry, with the versions of constraints.txt; packages in pip's cache are not fetched again, so the
first run's time is the network's. The core has no PyTorch; this environment, which has it, starts beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import ROOT, mib, save

CLIP = ROOT / "examples" / "angry.wav"
LARGEST = 8
"""Packages that are named."""


def run(*command: str | Path, cwd: Path | None = None) -> float:
    """Seconds that a command takes. RuntimeError, with the end of its output, if it fails."""
    began = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", check=False, cwd=cwd)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return seconds


def size(folder: Path) -> int:
    """Bytes of all files below a folder; links count for nothing."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        run(sys.executable, "-m", "venv", place / "core")
        python = place / "core" / "bin" / "python"
        packages = Path(
            subprocess.check_output(
                [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], encoding="utf-8"
            ).strip()
        )
        before, pips = size(packages), {path.name for path in packages.iterdir()}
        pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--constraint")
        install_s = run(python, *pip, ROOT / "constraints.txt", ROOT)
        whole = size(packages)
        largest = sorted(
            ((size(path), path.name) for path in packages.iterdir() if path.is_dir() and path.name not in pips),
            reverse=True,
        )
        figures: dict[str, Any] = {
            "install_s": install_s,
            "site_packages_bytes": whole,
            "without_pip_bytes": whole - before,
            "largest_bytes": {name: bytes_ for bytes_, name in largest[:LARGEST]},
        }
        starts = {"core, no torch": python}
        if importlib.util.find_spec("torch") is not None:
            starts["this environment, with torch"] = Path(sys.executable)
        command = ("-m", "overtone", "emotion", CLIP, "-q", "--format", "jsonl")
        times: dict[str, list[float]] = {name: [] for name in starts}
        for turn in range(given.repeats + 1):
            for name, start in starts.items():
                # Not from the repository: what is installed is to be run.
                seconds = run(start, "-W", "ignore", *command, cwd=place)
                if turn:  # the first measures the cost model
                    times[name].append(seconds)
    figures["cold_start_s"] = {name: statistics.median(some) for name, some in times.items()}
    table: list[tuple[str, ...]] = [("what", "found")]
    table.append(("installing the core", f"{install_s:.0f} s"))
    table.append(("its size in site-packages", mib(figures["without_pip_bytes"])))
    table += [(f"of that, {name}", mib(bytes_)) for name, bytes_ in figures["largest_bytes"].items()]
    table += [
        (f"process start to first result, tiny, {name}", f"{seconds:.2f} s")
        for name, seconds in figures["cold_start_s"].items()
    ]
    save("install", figures, table)


if __name__ == "__main__":
    main()
