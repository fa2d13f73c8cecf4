"""Transcription beside FunASR: the same checkpoints, audio and number of threads, taking turns within one run.

    python bench/transcribe.py [--only clips,files,hour,memory,steady] [--models sensevoice,paraformer] [--quick]
                               [--checkpoints FOLDER] [--corpus FOLDER ...] [--device cuda:0] [--small]

Each contender is a separate process: FunASR in fp32, Overtone in fp32, bf16 (where the processor has it) and int8; on
CUDA in fp32, bf16 and fp16. Only one computes at a time. The checkpoints have the published shapes and seeded random
weights; they are made once, into --checkpoints, and take FunASR, pytest and the tests of this project. Parts not
measured now are kept from an earlier run, if that was on the same machine, with the same versions.

clips: short clips one by one. files: a folder of files of 3 to 12 s, in some groups that are taken in turn. hour: one
long file. memory: Overtone's peak over a long file beside that over a short one. steady: many calls in one process.
--quick: less of all of it, some 20 minutes on two cores. --small: tiny checkpoints, a trial of this script.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import transcribe_tables as tables
from common import RESULTS, ROOT, hardware, save
from overtone.system.machine import usable_cpus
from overtone.tools.benchmark import WorkerDied
from transcribe_alone import memory, steady
from transcribe_bench import FULL, QUICK, Bench, Figures
from transcribe_beside import clips, files, hour
from transcribe_material import CORPUS, MODELS, utterances
from vs_funasr_tables import merged

PARTS: dict[str, Callable[[Bench, str], Figures]] = {
    "clips": clips,
    "files": files,
    "hour": hour,
    "memory": memory,
    "steady": steady,
}


def measure(bench: Bench, model: str, part: str) -> Figures:
    """Measure one part, and note the circumstances."""
    given = bench.given
    before = os.getloadavg()[0]
    found = PARTS[part](bench, model)
    load = {"before": before, "after": os.getloadavg()[0]}
    machine = {name: value for name, value in hardware().items() if name not in ("system", "features")}
    left_out = bench.left_out.get(model, {})
    said = [f"{model} in {name} is left out: {why}" for name, why in left_out.items()]
    if "contenders" in found and model == "paraformer":
        said.append(
            f"Paraformer-large with SeACo, without hot words; the CT-Transformer is the {_MARKS[given.punctuation]}."
        )
    if given.device != "cpu":
        said.append(
            f"On {bench.gpu or given.device}. Overtone's VAD and punctuation stay on the CPU, which is its default."
        )
    return found | {"measured": machine, "device": given.device, "load": load, "notes": said}


_MARKS = {"published": "Chinese one of 272,727 words", "large": "Chinese and English one of 471,067 words"}


def listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Parser for argparse of names with commas between them."""

    def chosen(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: it can be {', '.join(known)}")
        return names

    return chosen


def arguments() -> argparse.Namespace:
    """The command line, with the numbers of `FULL` or `QUICK` where none are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=listed(list(PARTS)), default=list(PARTS), help="parts, commas between them")
    parser.add_argument("--models", type=listed(MODELS), default=list(MODELS))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}")
    parser.add_argument("--small", action="store_true", help="tiny checkpoints: a trial of this script")
    parser.add_argument(
        "--checkpoints", type=Path, help="keep checkpoints and conversions here, and take them from here"
    )
    parser.add_argument("--corpus", type=Path, nargs="+", help=f"folders of speech; else {', '.join(CORPUS)}")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, of both")
    parser.add_argument("--punctuation", choices=("published", "large"), default="published", help="its shape")
    parser.add_argument("--also", type=listed(("speakers", "emotion")), default=[], help="in the part memory")
    parser.add_argument("--memory", default="3GiB", help="Overtone's budget in the part memory")
    parser.add_argument("--clip-s", type=float, default=10.0, help="seconds of a clip")
    for name, value in FULL.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), help=f"{value}")
    given = parser.parse_args()
    for name, value in (QUICK if given.quick else FULL).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main() -> None:
    """Measure, print and save."""
    given = arguments()
    size = "small" if given.small else "published"
    where = given.device.split(":")[0]
    name = "transcribe" + ("" if where == "cpu" else f"_{where}") + ("_small" if given.small else "")
    kept = RESULTS / f"{name}.json"
    figures = json.loads(kept.read_text(encoding="utf-8"))["figures"] if kept.exists() else {}
    corpus = given.corpus or [ROOT.parent / "shared" / "data" / "speech" / folder for folder in CORPUS]
    speech = utterances([folder for folder in corpus if folder.is_dir()])
    print(f"{len(speech)} utterances, {sum(map(len, speech)) / 16_000:.0f} s of speech", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoints = (given.checkpoints or Path(temporary)).resolve()
        checkpoints.mkdir(parents=True, exist_ok=True)
        os.environ["OVERTONE_CACHE"] = str(checkpoints / "cache")  # of this process and its children
        bench = Bench(Path(temporary), checkpoints, size, usable_cpus(), speech, given)
        for model in given.models:
            for part in given.only:
                try:
                    now = {f"{model} {part}": measure(bench, model, part)}
                except (WorkerDied, RuntimeError) as error:
                    print(f"{model} {part}: {error}", file=sys.stderr)
                    continue
                # Saved after each, so that what follows may fail.
                figures = merged(figures, now)
                save(
                    name,
                    figures,
                    *tables.tables(figures),
                    packages=["funasr"],
                    command=f"python bench/{Path(__file__).name} {_amounts()}".strip(),
                )
                with (RESULTS / f"{name}.md").open("a", encoding="utf-8") as page:
                    page.write("\n" + tables.notes(figures))


def _amounts() -> str:
    """The arguments that say how much was measured, without any folder of this machine."""
    said = sys.argv[1:]
    if "--checkpoints" in said:
        at = said.index("--checkpoints")
        said = said[:at] + said[at + 2 :]
    return " ".join("/".join(Path(word).parts[-2:]) for word in said)


if __name__ == "__main__":
    main()
