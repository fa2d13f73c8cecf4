"""Trials of what may go wrong: damaged files, kills, a full disk, a jumping clock, floods, odd mixes of memory.

    python bench/faults.py [--files 3000] [--kills 60] [--only memory]

Each part runs the command line or a service as a process, on the loopback only. Targets: nothing lost, and the
memory of all processes together never over the budget. It ends with 1 where one is missed. Figures are saved of a whole
run only, as it is without options.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from common import mib, prepare, save
from faults_disk import disk_and_clock
from faults_memory import memory_mixes
from faults_service import floods
from faults_trial import Trial
from fuzz import run_all
from kills import run as run_kills

FILES, KILLS = 3000, 60
"""Damaged files and kills of the run whose figures are published; other runs are printed and not saved."""

PARTS = ("memory", "floods", "disk", "kills", "fuzz")

Part = Callable[[Path], Iterator[Trial]]

_SHOWN = 20
"""Of what a trial lost, as many as are printed."""


def main() -> None:
    """Run the parts, and print what they found; save it if the run is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help="damaged files")
    parser.add_argument("--kills", type=int, default=KILLS, help="kills of a service over 100 files")
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    parts: dict[str, Part] = {
        "memory": memory_mixes,
        "floods": floods,
        "disk": disk_and_clock,
        "kills": functools.partial(_kills, given.kills),
        "fuzz": functools.partial(_fuzz, given.files),
    }
    chosen = {given.only: parts[given.only]} if given.only else parts
    prepare(model="tiny", memory="1GiB")
    table: list[tuple[str, ...]] = [("trial", "tried", "lost", "peak", "budget", "over budget")]
    trials: list[Trial] = []
    began = time.monotonic()
    for part in chosen.values():
        with tempfile.TemporaryDirectory() as temporary:
            for trial in part(Path(temporary)):
                trials.append(trial)
                table.append(_row(trial))
                print(" | ".join(table[-1]), *trial.lost[:_SHOWN], sep="\n  ", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.1f} minutes")
    if (given.only, given.files, given.kills) == (None, FILES, KILLS):
        save("faults", {"minutes": minutes, "trials": [asdict(trial) for trial in trials]}, table)
    sys.exit(1 if any(trial.lost or trial.over_bytes for trial in trials) else 0)


def _kills(kills: int, folder: Path) -> Iterator[Trial]:
    files = 100
    lost = run_kills(folder, kills, files, seed=0)
    yield Trial("kill -9", f"{kills} kills of a service over {files} files", tuple(lost))


def _fuzz(files: int, folder: Path) -> Iterator[Trial]:
    found = run_all(0, files)
    lost = tuple(f"{name}: {what}" for name, what in found["wrong"].items())
    yield Trial("damaged files", f"{files:,}", lost, found["held_bytes"], found["budget_bytes"])


def _row(trial: Trial) -> tuple[str, ...]:
    sizes = ("" if size is None else mib(size) for size in (trial.peak_bytes, trial.budget_bytes))
    lost = "nothing" if not trial.lost else str(len(trial.lost))
    return (trial.name, trial.tried, lost, *sizes, "never" if not trial.over_bytes else mib(trial.over_bytes))


if __name__ == "__main__":
    main()
