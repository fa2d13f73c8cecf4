"""Records what Overtone answers, and compares two recordings: for changes that are to change no answer.

    python tests/answers.py checkpoints DIR
    python tests/answers.py record OUT [--checkpoints DIR] [--data DIR]...
    python tests/answers.py compare A B

`checkpoints` makes a model of each family with FunASR's classes, once for all recordings. `record` asks whatever
`overtone` this interpreter imports (`PYTHONPATH` names another) and writes text under OUT; it takes some quarter of an
hour of processor time, on two cores. `compare` says what differs first, and exits with 1.

It is asked only where names stay: on the command line, over HTTP and WebSocket, and through the public names of
`overtone` and `overtone.compat`. Asked are

- emotions: of all audio by segment, and every 20 ms in each way of cutting (what is longer than ten minutes only once);
  of some in every granularity, with channels apart, silence kept, whole files, checkpoints with classes and without,
  both backends, bf16 and int8;
- words: every recognizer with every stage, its options, both backends and bf16;
- output: every format, embeddings, plots, tables on a terminal; runs resumed; lists; options from everywhere;
- what is wrong with inputs, options, models and files, each file of a folder called `hard` by itself; help; `models`;
- from Python: `EmotionRecognizer`, live speech, `Transcriber`, options, `expand`, errors, and `AutoModel` with every
  family, streams included;
- the service: its routes, jobs, streams, cache, keys, limits, errors, log, and what it says of itself.

Of what is measured only the words are compared: `doctor`, `profile`, `bench`, `top`, metrics, and what `plan` says of
time and memory. Not asked are `tune`, which tries what fits into a time; what the page does, but for its parts; a GPU;
and a hub that answers. Each segment runs alone, as the last digits of scores depend on what shares a batch, and that on
how fast files are read; of runs in batches labels, spans and texts are compared.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from pathlib import Path

from answering import calls, checkpoints, commands, services
from answering.place import Place, prepare
from answering.running import PATIENCE_S, Case, readable, run, section

_AT_ONCE = 2
"""Commands that run beside each other, each on one thread."""
_AROUND = 60
"""Characters shown before and after the place where two lines differ."""

Task = tuple[str, Callable[[], str]]
"""What a part of a recording is called, and what makes it."""


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked = parser.add_subparsers(dest="asked", required=True)
    makes = asked.add_parser("checkpoints", help="make a checkpoint of each family")
    makes.add_argument("folder", type=Path)
    records = asked.add_parser("record", help="ask everything, and write down what is answered")
    records.add_argument("out", type=Path)
    records.add_argument("--checkpoints", type=Path, help="what `checkpoints` made; without it no words are recognized")
    records.add_argument("--data", type=Path, action="append", help="more audio; may be said several times")
    records.add_argument("--only", default="", help="parts whose names begin so, after what all need")
    compares = asked.add_parser("compare", help="say where two recordings differ first")
    compares.add_argument("one", type=Path)
    compares.add_argument("other", type=Path)
    called = asked.add_parser("call", help="a group of calls from Python, in the current folder; `record` uses it")
    called.add_argument("group", choices=calls.GROUPS)
    given = parser.parse_args()
    if given.asked == "checkpoints":
        print(*checkpoints.make(given.folder), sep="\n")
    elif given.asked == "record":
        return record(given.out, given.checkpoints, given.data or [], given.only)
    elif given.asked == "compare":
        return compare(given.one, given.other)
    else:
        sys.stdout.write(calls.answers(given.group))
    return 0


def record(out: Path, checkpoints: Path | None, data: Sequence[Path], only: str = "") -> int:
    """Ask everything; 1 if something could not be asked. Raises FileExistsError where there is something at `out`."""
    out.mkdir(parents=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="answers-"))
    try:
        place = prepare(folder, data, checkpoints)
        failed = _write(out, _cases(commands.first(place), place))
        everything = (out / "first" / "emotion-of-everything.txt").read_text(encoding="utf-8")
        short = commands.short(everything)
        for name, listed in (("everything", short), ("many", short[::4])):
            (folder / "made" / f"{name}.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
        # What takes longest begins first.
        tasks = [*_services(place), *_calls(place), *_cases(commands.rest(place), place)]
        failed += _write(out, [task for task in tasks if task[0].startswith(only)])
    finally:
        shutil.rmtree(folder)
    files = sum(1 for path in out.rglob("*.txt"))
    print(f"{files} files in {out}, in {time.monotonic() - began:.0f} s", file=sys.stderr)
    for name in failed:
        print(f"{name} could not be asked; see there", file=sys.stderr)
    return 1 if failed else 0


def _cases(cases: Iterator[Case], place: Place) -> list[Task]:
    return [(case.name, partial(run, case, place)) for case in cases]


def _services(place: Place) -> list[Task]:
    groups = services.GROUPS if place.checkpoints else services.WITHOUT_CHECKPOINTS
    return [(f"service/{name}", partial(services.GROUPS[name], place)) for name in groups]


def _calls(place: Place) -> list[Task]:
    groups = calls.GROUPS if place.checkpoints else calls.WITHOUT_CHECKPOINTS
    return [(f"python/{name}", partial(_called, name, place)) for name in groups]


def _called(group: str, place: Place) -> str:
    """What a group of calls gives, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "call", group],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{group}: {readable(done.stderr)}")
    said = section("standard output", readable(done.stdout)) + section("standard error", readable(done.stderr))
    return place.scrub(said)


def _write(out: Path, tasks: Sequence[Task]) -> list[str]:
    """Do tasks, some at a time, and write what they say; the names of those that failed."""

    def do(task: Task) -> bool:
        name, make = task
        began = time.monotonic()
        try:
            text, done = make(), True
        except Exception:  # noqa: BLE001 - whatever it is, it is what came of this, and the others are still asked
            text, done = traceback.format_exc(), False
        path = out / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        print(f"{time.monotonic() - began:6.1f} s  {name}", file=sys.stderr, flush=True)
        return done

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [task[0] for task, done in zip(tasks, pool.map(do, tasks), strict=True) if not done]


def compare(one: Path, other: Path) -> int:
    """Say what differs; 1 if anything does."""
    names = sorted({path.relative_to(top) for top in (one, other) for path in top.rglob("*.txt")})
    differing = [name for name in names if _difference(one / name, other / name)]
    if not names:
        print(f"there is nothing in {one} and {other}")
        return 1
    if not differing:
        print(f"{len(names)} files are the same")
        return 0
    print(_difference(one / differing[0], other / differing[0]))
    print(f"{len(differing)} of {len(names)} files differ:", *differing, sep="\n  ")
    return 1


def _difference(one: Path, other: Path) -> str:
    """The first line in which two files differ, around the place; empty if none does."""
    for path in (one, other):
        if not path.is_file():
            return f"{path} is not there"
    if one.read_bytes() == other.read_bytes():
        return ""
    lines = (path.read_text(encoding="utf-8").split("\n") for path in (one, other))
    for number, (mine, yours) in enumerate(zip_longest(*lines), start=1):
        if mine != yours:
            return _shown(f"{one}:{number}", mine, yours)
    return f"{one}: line ends differ"


def _shown(where: str, mine: str | None, yours: str | None) -> str:
    pairs = enumerate(zip_longest(mine or "", yours or ""))
    at = next((place for place, (a, b) in pairs if a != b), 0)
    said = ["nothing" if line is None else repr(line[max(0, at - _AROUND) : at + _AROUND]) for line in (mine, yours)]
    return f"{where}, character {at + 1}:\n  {said[0]}\n  {said[1]}"


if __name__ == "__main__":
    sys.exit(main())
