"""The service under load, on loopback: beside the same clips offline, and beside FunASR behind FastAPI.

    python bench/serve.py [--only throughput,plain,mixed,beside,overload,latency] [--shape base|tiny] [--precision fp32]
                          [--corpus FOLDER] [--speech FOLDER] [--keep FOLDER] [--seconds 40] [--minutes 5]

Each server and each load is a separate process. Every service has its cache off, and no two requests carry the same
bytes, so each is computed. The checkpoint has a published shape and seeded random weights. Parts not measured now are
kept from an earlier run, if that was on the same machine, with the same versions and options. About 20 minutes in all.

throughput: 1 to 128 clients that send clips one after the other, in turns of a minute with a folder of the same clips
through the engine alone. plain: the same clients at FunASR. mixed: 32 clients, one in fifty requests a 10-minute file.
beside: 32 clients that send clips, in turns alone and beside four more that send 10-minute files.
overload: four times as much as can be answered, sent whether or not it is. latency: a clip of 5 s while nothing else is
to be done, and while an hour is, as a job.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from common import RESULTS, base_checkpoint, hardware, prepare, save
from overtone.system.machine import usable_cpus
from overtone.system.memory import parse_size
from serve_material import material
from serve_parts import PARTS, Bench
from serve_tables import notes_of, tables_of
from vs_funasr_tables import merged


def _parts(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",")]
    if unknown := [name for name in found if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"there is no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    return found


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_parts, default=list(PARTS), help="parts to measure, joined by commas")
    parser.add_argument("--shape", choices=("base", "large", "small", "tiny"), default="base")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32")
    parser.add_argument("--memory", default="2GiB", help="budget of the service and of the engine alone")
    parser.add_argument("--corpus", type=Path, help="a folder of short .wav files; else clips of the example call")
    parser.add_argument("--speech", type=Path, help="recordings, joined to the hour; else the example call")
    parser.add_argument("--keep", type=Path, help="keep checkpoint and conversions here, and take them from here")
    parser.add_argument("--files", type=int, default=120, help="clips that are sent, in turns")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=40, help="that count, of each number of clients")
    parser.add_argument("--plain-seconds", type=float, default=30, help="the same at FunASR")
    parser.add_argument("--minutes", type=float, default=5, help="of the mixed load")
    parser.add_argument("--times", type=float, default=4, help="overload: offered over what can be answered")
    parser.add_argument("--requests", type=int, default=60, help="latency: of each kind")
    return parser.parse_args()


def main() -> None:
    """Measure, print and save."""
    given = arguments()
    # A benchmark that is ended ends what it has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    parse_size(given.memory)
    special = [word for word in (given.shape, given.precision) if word not in ("base", "fp32")]
    name = "_".join(["serve", *special])
    measured = {key: value for key, value in hardware().items() if key not in ("system", "features")}
    measured |= {"shape": given.shape, "precision": given.precision, "memory": given.memory}
    kept = RESULTS / f"{name}.json"
    figures = json.loads(kept.read_text(encoding="utf-8"))["figures"] if kept.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.keep or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        os.environ["OVERTONE_CACHE"] = str(place / "cache")  # of this process and its children
        tiny = given.shape == "tiny"
        bench = Bench(
            folder=Path(temporary),
            model="tiny" if tiny else str(base_checkpoint(place / given.shape, given.shape)),
            shape=given.shape,
            precision=given.precision,
            memory=given.memory,
            material=material(Path(temporary) / "material", given.files, given.corpus, given.speech),
            clients=tuple(given.clients),
            seconds=given.seconds,
            plain_seconds=given.plain_seconds,
            mixed_s=60 * given.minutes,
            times=given.times,
            requests=given.requests,
            threads=usable_cpus(),
        )
        prepare(**bench.options)
        for part in given.only:
            began = time.monotonic()
            try:
                now = PARTS[part](bench)
            except (RuntimeError, OSError) as error:
                print(f"{part}: {error}", file=sys.stderr)
                continue
            print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
            now |= {"measured": measured, "corpus": bench.material.name, "files": len(bench.material.clips)}
            # Saved after each, so that what follows may fail.
            figures = merged(figures, {part: now})
            command = f"python bench/serve.py --shape {given.shape} --precision {given.precision}"
            if given.corpus is not None:
                command += f" --corpus {'/'.join(given.corpus.parts[-2:])}"  # and no folder of this machine
            save(name, figures, *tables_of(figures), notes_of(figures), command=command)


if __name__ == "__main__":
    main()
