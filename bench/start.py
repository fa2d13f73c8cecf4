"""From the start of a process to its first result, of models that are converted and kept already.

    python bench/start.py [--shape base|large|small] [--repeats 5] [--only fp32 ...] [--source FOLDER] [--keep FOLDER]

The base shape in each precision, `tiny`, and SenseVoice-Small's shape in 8 bits, all with seeded random weights but
`tiny`, start in turns with a clip of 2 s, each as a command: `overtone emotion CLIP --format jsonl`. A turn
before counts for nothing: it converts, compiles and measures. Two times are taken: to the line of the result, and to
the end of the process. Another process goes through the same in steps, and says when each was done.

--source: folder of another version of the package (`…/src`), which starts in turns with this one.
--keep: where checkpoints and caches are, and stay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT, base_checkpoint, save, write_wav

CLIP_S = 2.0

STEPS = """
import json, sys, time
at = {"interpreter": time.time()}
arguments = json.loads(sys.argv[1])
import overtone.cli.app
import importlib
importlib.import_module("overtone.cli." + arguments["command"])
import overtone
at["imports"] = time.time()
made = getattr(overtone, arguments["face"])(arguments["model"], **arguments["options"])
at["model"] = time.time()
made(arguments["clip"])
at["result"] = time.time()
made.close()
at["closed"] = time.time()
print(json.dumps(at))
"""


def environment(source: Path, cache: Path) -> dict[str, str]:
    """Variables of a process that runs a version of the package as a user does: with compiled modules kept."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **given,
        "PYTHONPATH": str(source),
        "PYTHONPYCACHEPREFIX": str(cache / "pyc"),
        "PYTHONWARNINGS": "ignore",
        "OVERTONE_CACHE": str(cache),
    }


def start(command: list[str], variables: Mapping[str, str], place: Path) -> tuple[float, float, str]:
    """Seconds to the first line of a process, and to its end; and that line. RuntimeError if it fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(variables), cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        first_s = time.perf_counter() - began
        _, errors = process.communicate()
        end_s = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{command[3:]} ended with {process.returncode}: {errors[-2000:]}")
    return first_s, end_s, line


def steps(asked: Mapping[str, Any], variables: Mapping[str, str], place: Path) -> dict[str, float]:
    """Seconds that each step of a start takes, in one process."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", STEPS, json.dumps(asked)],
        env=dict(variables),
        cwd=place,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    taken, last = {}, began
    for name, at in json.loads(done.stdout.splitlines()[-1]).items():
        taken[name], last = at - last, at
    return taken


def models(folder: Path, shape: str, only: list[str]) -> dict[str, dict[str, Any]]:
    """Models to start, by name: the command, the class of the Python API, the model and its options."""
    found: dict[str, dict[str, Any]] = {
        f"{shape} {precision}": {"model": shape, "options": {"precision": precision}}
        for precision in ("fp32", "bf16", "int8")
    }
    found["tiny"] = {"model": "tiny", "options": {}}
    found["SenseVoice int8"] = {"model": "sensevoice", "options": {"precision": "int8"}}
    found = {name: asked for name, asked in found.items() if not only or any(word in name for word in only)}
    for asked in found.values():
        words = asked["model"] == "sensevoice"
        asked["command"], asked["face"] = ("transcribe", "Transcriber") if words else ("emotion", "EmotionRecognizer")
        if words:
            from transcribe_material import checkpoint

            size = "small" if shape == "small" else "published"
            asked["model"] = checkpoint(folder, "sensevoice", size)
        elif asked["model"] == shape:
            asked["model"] = str(base_checkpoint(folder / shape, shape))
    return found


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Times of every model and version, in turns."""
    clip = write_wav(folder / "clip.wav", CLIP_S)
    sources = {"this": ROOT / "src"} | ({"other": given.source.resolve()} if given.source else {})
    asked = models(folder, given.shape, given.only)
    variables = {name: environment(source, folder / f"cache-{name}") for name, source in sources.items()}
    times: dict[str, dict[str, list[float]]] = {}
    parts: dict[str, list[dict[str, float]]] = {}
    answers: dict[str, set[str]] = {}
    for turn in range(given.repeats + given.prepare):
        for version, environ in variables.items():
            for name, one in asked.items():
                flags = [word for key, value in one["options"].items() for word in (f"--{key}", value)]
                command = [sys.executable, "-m", "overtone", one["command"], str(clip), "-q", "--format", "jsonl"]
                first_s, end_s, line = start([*command, "--model", one["model"], *flags], environ, folder)
                taken = steps({**one, "clip": str(clip)}, environ, folder) if version == "this" else {}
                said = json.loads(line)
                said.pop("timings", None)
                answers.setdefault(name, set()).add(json.dumps(said))
                if turn >= given.prepare:
                    found = times.setdefault(f"{name}, {version}", {"first_s": [], "end_s": []})
                    found["first_s"].append(first_s)
                    found["end_s"].append(end_s)
                    if taken:
                        parts.setdefault(name, []).append(taken)
    return {
        "times": times,
        "steps": {
            name: {part: statistics.median(one[part] for one in some) for part in some[0]}
            for name, some in parts.items()
        },
        "same_answers": {name: len(found) == 1 for name, found in answers.items()},
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="base", choices=("base", "large", "small"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prepare", type=int, default=2, help="turns before, that count for nothing")
    parser.add_argument("--only", nargs="*", default=[], help="words of the names of what is started")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(given, folder)
    starts: list[tuple[str, ...]] = [("a clip of 2 s, model kept", "first result", "least", "process ended")]
    for name, found in figures["times"].items():
        shown = name.removesuffix(", this")
        first, end = found["first_s"], found["end_s"]
        row = (f"{statistics.median(first):.2f} s", f"{min(first):.2f} s", f"{statistics.median(end):.2f} s")
        starts.append((shown, *row))
    names = list(next(iter(figures["steps"].values()), ()))
    parts: list[tuple[str, ...]] = [("of that, in steps", *names)]
    parts += [(name, *(f"{taken[part]:.2f} s" for part in names)) for name, taken in figures["steps"].items()]
    if not all(figures["same_answers"].values()):
        raise SystemExit(f"answers differ: {figures['same_answers']}")
    save("start", figures, starts, parts)


if __name__ == "__main__":
    main()
