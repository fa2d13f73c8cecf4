"""Memory of a process after each step from its imports to later runs, by the use that it is put to.

    python bench/memory_map.py [--model base FOLDER ...] [--precision fp32 int8] [--seconds 5] [--repeats 3]

Linux only: it reads `/proc/self/smaps`, and `mallinfo2` of glibc 2.33 or later. Each row of a table is a step:
imports, each graph read, compiled and run for the first time, the model loaded, and clips. Resident memory is split:

- `weights`: pages of mapped weights, which count as long as they are resident,
- `libraries`: code and data of libraries and of Python,
- `heap`: what the C library's allocator handed out (packed weights, activations, Python's objects),
- `free heap`: what it keeps of what was given back to it,
- `other`: stacks, and memory that Python and NumPy map themselves.

`peak` is the highest within the step.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from common import base_checkpoint, child, mib, save, speech

MAP = """
import ctypes, re, numpy
class HeapInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = HeapInfo
rows = []
def resident():
    found, kind = {"weights": 0, "libraries": 0, "anonymous": 0, "other": 0}, "other"
    for line in open("/proc/self/smaps"):
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \\S+ \\S+ \\S+ \\d+ *(.*)", line)
        if head:
            name = head[1].strip()
            kind = ("anonymous" if name in ("", "[heap]") else "other" if name.startswith("[")
                    else "weights" if name.endswith((".bin", " (deleted)")) else "libraries")
        elif line.startswith("Rss:"):
            found[kind] += int(line.split()[1]) * 1024
    return found
def note(step):
    from overtone.system.machine import peak_rss_bytes, rss_bytes
    peak, rss, found, info = peak_rss_bytes(), rss_bytes(), resident(), libc.mallinfo2()
    handed_out = info.uordblks + info.hblkhd
    free = min(info.fordblks, max(0, found["anonymous"] - handed_out))
    rows.append({"step": step, "resident": rss, "peak": peak, "weights": found["weights"],
                 "libraries": found["libraries"], "heap": min(handed_out, found["anonymous"]), "free heap": free,
                 "other": max(0, rss - found["weights"] - found["libraries"] - handed_out - free)})
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from here
def noted(owner, name, words):
    plain = getattr(owner, name)
    def method(self, *given, **named):
        found = plain(self, *given, **named)
        if (step := words(self, *given)):
            note(step)
        return found
    setattr(owner, name, method)
note("python and numpy")
from overtone import Audio
if arguments["emotion"]:
    from overtone import EmotionRecognizer as Recognizer
else:
    from overtone.pipelines.transcription import Transcriber as Recognizer
note("overtone imported")
from overtone.backends.openvino import compiled_model, graphs, model_file
from overtone.backends.openvino.module import openvino_core
openvino_core()
note("openvino imported")
ran = set()
def first_run(self, graph, inputs):
    step = None if graph in ran else f"{graph} run for the first time"
    ran.add(graph)
    return step
noted(model_file.ModelFile, "__init__", lambda self, path, *more: f"{path.name} read")
noted(compiled_model.CompiledModel, "__init__", lambda self, model, *_: f"{getattr(model, 'name', 'model')} compiled")
noted(graphs.OpenvinoGraphs, "run", first_run)
with Recognizer(arguments["model"], precision=arguments["precision"], decode="threads") as recognizer:
    note("loaded")
    call, length = numpy.load(arguments["audio"]), round(arguments["seconds"] * 16000)
    for clip in range(arguments["repeats"]):
        recognizer(Audio(call[clip * 16000 : clip * 16000 + length], 16000))
        note(f"clip {clip + 1}")
answer(rows=rows)
"""


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["base"], help="base, or folders of checkpoints")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16", "int8"), default=["fp32", "int8"])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="memory_map", help="of the file in bench/results")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    tables: list[list[tuple[str, ...]]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.model:
            model = str(base_checkpoint(Path(temporary) / name)) if name == "base" else name
            for precision in given.precision:
                rows = run(model, precision, given.seconds, given.repeats)
                figures[f"{Path(name).name}, {precision}"] = rows
                tables.append(table(f"{Path(name).name}, {precision}", rows))
    save(given.name, figures, *tables, command=f"python bench/memory_map.py --seconds {given.seconds:g}")


def run(model: str, precision: str, seconds: float, repeats: int) -> list[dict[str, Any]]:
    """The rows of a process that is the second to use this model: it is converted and its cost is known by then."""
    from overtone.models import checkpoints
    from overtone.models.registry import role_of

    emotion = role_of(checkpoints.find(model).kind) == "emotion"
    with tempfile.NamedTemporaryFile(suffix=".npy") as audio:  # decoded elsewhere: only the model is to count
        np.save(audio.name, speech())
        given = {"model": model, "precision": precision, "seconds": seconds, "emotion": emotion, "audio": audio.name}
        child(MAP, **given, repeats=0)
        found: list[dict[str, Any]] = child(MAP, **given, repeats=repeats)["rows"]
    return found


COLUMNS = ("resident", "peak", "weights", "libraries", "heap", "free heap", "other")


def table(title: str, rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row for each step, and the highest of all peaks."""
    highest = ("the highest", "", mib(max(row["peak"] for row in rows)), *[""] * (len(COLUMNS) - 2))
    return [(title, *COLUMNS), *((row["step"], *(mib(row[key]) for key in COLUMNS)) for row in rows), highest]


if __name__ == "__main__":
    main()
