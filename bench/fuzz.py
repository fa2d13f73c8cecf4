"""Does a damaged file harm anything but itself? Thousands of them, of each container, through the whole pipeline.

    python bench/fuzz.py [--files 20000] [--first 0] [--write FOLDER]

Files of a third of a second of speech, in each container and codec of `tests/helpers/fuzz_material.py`, damaged in the
ways of `tests/helpers/fuzzing.py`: bits flipped, cut short, stretches doubled, swapped and spliced in, lengths made
huge. File number N is the same in each run: `--files 1 --first N --write FOLDER` writes it and runs it alone. Target:
an answer or an error for each, no process of the pipeline ended, and what all of them hold at most 64 MiB above the
budget, 1 GiB.
"""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path
from typing import Any

from common import ROOT, child, markdown, mib, prepare, save

TESTS = str(ROOT / "tests")

FILES = 20_000
"""Files of the run whose figures are published; other runs are printed and not saved."""

AT_ONCE = 1000
"""Files that one process of the pipeline runs; where it dies, the others go on."""

RUN = """
sys.path.insert(0, arguments["tests"])
from helpers import fuzzing
found = fuzzing.run("tiny", arguments["first"], arguments["files"])
answer(**{**found, "held_bytes": found["peak_bytes"], "budget_bytes": fuzzing.BUDGET_BYTES})
"""

WRITE = """
from pathlib import Path
sys.path.insert(0, arguments["tests"])
from helpers import fuzzing
for number in range(arguments["first"], arguments["first"] + arguments["files"]):
    name, data = fuzzing.damaged(number)
    (Path(arguments["folder"]) / name).write_bytes(data)
answer()
"""


def main() -> int:
    """Run and print; save the figures of a whole run. 1 if a file harmed more than itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="where to keep the damaged files")
    given = parser.parse_args()
    if given.write is not None:
        given.write.mkdir(parents=True, exist_ok=True)
        child(WRITE, tests=TESTS, first=given.first, files=given.files, folder=str(given.write))
    prepare(model="tiny", threads=1)
    found = run_all(given.first, given.files)
    if (given.first, given.files) == (0, FILES):
        save("fuzz", found, *_tables(found))
    else:
        print("\n".join(map(markdown, _tables(found))))
    for name, what in found["wrong"].items():
        print(f"{name}: {what}", file=sys.stderr)
    return 1 if found["wrong"] else 0


def run_all(first: int, files: int) -> dict[str, Any]:
    """Run these files, a thousand to a process. `wrong` of what it gives: what a file harmed, by its name."""
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: dict[str, str] = {}
    held_bytes = budget_bytes = deaths = 0
    for begin in range(first, first + files, AT_ONCE):
        count = min(AT_ONCE, first + files - begin)
        try:
            answer = child(RUN, tests=TESTS, first=begin, files=count)
        except RuntimeError as error:
            deaths += 1
            wrong[f"{begin} to {begin + count - 1}"] = str(error)
            continue
        outcomes.update(answer["outcomes"])
        wrong |= answer["wrong"]
        held_bytes, budget_bytes = max(held_bytes, answer["held_bytes"]), answer["budget_bytes"]
        print(f"{begin + count - first} of {files}", file=sys.stderr, flush=True)
    return {
        "files": files,
        "first": first,
        "outcomes": dict(outcomes.most_common()),
        "deaths": deaths,
        "held_bytes": held_bytes,
        "budget_bytes": budget_bytes,
        "wrong": wrong,
    }


def _tables(found: dict[str, Any]) -> list[list[tuple[str, ...]]]:
    summary: list[tuple[str, ...]] = [
        ("damaged files", "pipelines that died", "files that harmed more than themselves", "most held", "budget"),
        (
            f"{found['files']:,}",
            str(found["deaths"]),
            str(len(found["wrong"])),
            mib(found["held_bytes"]),
            mib(found["budget_bytes"]),
        ),
    ]
    codes: list[tuple[str, ...]] = [
        ("answer", "records"),
        *((f"`{code}`", f"{count:,}") for code, count in found["outcomes"].items()),
    ]
    return [summary, codes]


if __name__ == "__main__":
    raise SystemExit(main())
