"""Overtone beside what else runs these models on a CPU: the same weights, audio and number of threads, in turns.

    python bench/peers.py [--families emotion2vec sensevoice paraformer] [--keep FOLDER] [--quick]
                          [--venv FOLDER | --here]

It makes an environment from the package registry (bench/peers-requirements.txt), --venv, and goes on in it; with --here
packages that are installed take part, and those that are missing are left out and named.

Contenders: ONNX Runtime (fp32, static and dynamic 8 bits), PyTorch (fp32, bf16; with --compile also torch.compile at
clips of 5 s), sherpa-onnx and funasr-onnx (fp32, 8 bits), FunASR, and Overtone in fp32, bf16 and int8. Each is a
process; only one computes at a time. Checkpoints have the published shapes and seeded random weights.

--keep holds checkpoints, exports and conversions for the next run; --prepare makes them, and measures nothing.
--quick: fewer clips and repeats. --small: tiny checkpoints, a trial of this script. Families not measured now are kept
from an earlier run, if that was on the same machine, with the same versions. --tables writes the tables again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

VENV = Path(__file__).resolve().parents[1] / "build" / "peers-venv"

QUICK: dict[str, Any] = {"repeats": 2, "files": 24, "word_clips": 3, "word_files": 8}
"""Amounts of `--quick`."""


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    families = ["emotion2vec", "sensevoice", "paraformer"]
    parser.add_argument("--venv", type=Path, default=VENV, help="the environment, made at first; build/peers-venv")
    parser.add_argument("--here", action="store_true", help="in this environment, with what is installed in it")
    parser.add_argument("--families", nargs="+", choices=families, default=families)
    parser.add_argument("--keep", type=Path, help="keep what is made once here, and take it from here")
    parser.add_argument("--prepare", action="store_true", help="make what is made once, and stop")
    parser.add_argument("--tables", action="store_true", help="write the tables of the last run again, and stop")
    parser.add_argument("--compile", action="store_true", help="with torch.compile, which takes a C++ compiler")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}")
    parser.add_argument("--small", action="store_true", help="tiny checkpoints: a trial of this script")
    return parser.parse_args(given)


def main() -> None:
    """Measure, print and save; first in the environment that was asked for."""
    given = arguments()
    if not given.here:
        import peers_venv

        peers_venv.run_in(given.venv, [*sys.argv[1:], "--here"])
    measure(given)


def measure(given: argparse.Namespace) -> None:
    """Measure each family, and save after each, so that what follows may fail."""
    import peers_bench
    from common import RESULTS, hardware
    from overtone.backends.openvino.compiled_model import has_fast_bf16
    from overtone.system.machine import usable_cpus
    from vs_funasr_tables import merged

    name = "peers_small" if given.small else "peers"
    kept = RESULTS / f"{name}.json"
    before: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    figures: dict[str, Any] = before.get("figures", {})
    if given.tables:
        write(name, figures, before.get("hardware"))
        return
    machine = {key: value for key, value in hardware().items() if key not in ("system", "features")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary, "kept")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["OVERTONE_CACHE"] = str(folder / "cache")  # of this process and its children
        size = "small" if given.small else "published"
        amounts = QUICK if given.quick else {}
        bench = peers_bench.Bench(
            Path(temporary), folder, size, usable_cpus(), has_fast_bf16(), compiled=given.compile, **amounts
        )
        for family in given.families:
            if given.prepare:
                peers_bench.prepare(bench, family)
                continue
            busy = os.getloadavg()[0]
            found = peers_bench.measure(bench, family)
            load = {"before": busy, "after": os.getloadavg()[0]}
            figures = merged(figures, {family: {**found, "measured": machine, "load": load}})
            write(name, figures)


def write(name: str, figures: dict[str, Any], machine: dict[str, Any] | None = None) -> None:
    """Tables, notes and the picture of figures. machine: the one they were measured on, if it was not just now."""
    import peers_tables
    from common import RESULTS, save

    command = "python bench/peers.py"
    save(name, figures, *peers_tables.tables(figures), command=command, packages=["funasr"], machine=machine)
    with (RESULTS / f"{name}.md").open("a", encoding="utf-8") as page:
        page.write("\n" + peers_tables.notes(figures))
    peers_tables.draw(figures, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
