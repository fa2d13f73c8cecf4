"""Trains the bundled model `tiny`, or measures its recipe by leaving one speaker out at a time.

python training/train_tiny.py --data ../shared/data/emodb --out src/overtone/assets/tiny
python training/train_tiny.py --data ../shared/data/emodb --loso
"""

# ruff: noqa: E402 - the project is found first

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.bank import Bank, build_bank
from training.checkpoint import write_checkpoint
from training.data import load_emodb, load_speech
from training.fit import Classifier, fit_all, segments, summarise
from training.loso import held_out_logits
from training.network import config
from training.pretrain import pretrain
from training.recipe import Recipe
from training.report import circumstances, measure

T = TypeVar("T")

RESULTS = ROOT / "training" / "results" / "loso.json"


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=shared / "emodb", help="Berlin database (its wav/ inside)")
    parser.add_argument("--speech", type=Path, help="unlabelled speech (default: 'speech' beside --data)")
    parser.add_argument("--out", type=Path, default=ROOT / "src/overtone/assets/tiny", help="checkpoint folder")
    parser.add_argument("--loso", action="store_true", help="measure instead; writes training/results/loso.json")
    parser.add_argument("--work", type=Path, default=ROOT / "training" / "work", help="keeps finished stages")
    parser.add_argument("--processes", type=int, default=2, help="folds or seeds at a time")
    args = parser.parse_args()
    started = time.perf_counter()
    # One thread each: the sums, and so the weights, are then the same on every run.
    torch.set_num_threads(1)
    recipe = Recipe()
    args.work.mkdir(parents=True, exist_ok=True)
    start, bank = prepare(args.data, args.speech or args.data.parent / "speech", recipe, args.work)
    if args.loso:
        logits = held_out_logits(bank, recipe, start, args.processes)
        result = measure(bank, logits)
        result |= circumstances(time.perf_counter() - started) | {"recipe": dataclasses.asdict(recipe)}
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({key: value for key, value in result.items() if key != "recipe"}, indent=2))
        return
    if not RESULTS.exists():
        parser.error(f"{RESULTS} is missing; run with --loso first, it measures the temperature.")
    temperature = float(json.loads(RESULTS.read_text(encoding="utf-8"))["temperature"])
    model = fit_all(bank, range(len(bank.utterances)), recipe, start)
    settings = config(recipe.embed_dim, recipe.num_heads, recipe.depth, recipe.prenet_depth)
    write_checkpoint(model, settings, temperature, args.out)
    size = (args.out / "model.pt").stat().st_size
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{args.out}: {count} parameters, {size} bytes, {(time.perf_counter() - started) / 60:.1f} minutes")


def prepare(data: Path, speech: Path, recipe: Recipe, work: Path) -> tuple[Classifier, Bank]:
    """The start that all folds share, and the copies of all speech as its front end hears them."""
    waves = load_speech(speech)
    extractor = kept(work / "front_end.pt", recipe.front_end, lambda: pretrain(waves, recipe.front_end, 0, report))

    def start_and_bank() -> tuple[Classifier, Bank]:
        pieces = segments(waves, recipe.summary_seconds)
        copies = max(recipe.summary_copies, recipe.copies)
        unlabelled = build_bank(pieces, extractor, recipe.front_end.augmentation, copies, 0)
        report(f"start: {len(pieces)} unlabelled pieces, {recipe.summary_copies} copies of each")
        start = summarise(unlabelled.limited(recipe.summary_copies), recipe, extractor, 0)
        utterances = load_emodb(data)
        report(f"{len(utterances)} utterances of {len({u.speaker for u in utterances})} speakers")
        bank = build_bank(utterances, extractor, recipe.augmentation, recipe.copies, 0)
        return start, bank + unlabelled.limited(recipe.copies)

    early = dataclasses.replace(recipe, upper=recipe.summary, joint=None, seeds=(), teacher_decay=0.0)
    return kept(work / "prepared.pt", early, start_and_bank)


def kept(path: Path, choices: object, make: Callable[[], T]) -> T:
    """The value left at `path` by an earlier run with the same choices, or that of `make`, which is then left there."""
    stamp = repr((choices, torch.__version__))
    if path.exists() and (found := torch.load(path, weights_only=False))["stamp"] == stamp:
        report(f"{path.name}: as kept in the work folder")
        made: T = found["made"]
        return made
    made = make()
    torch.save({"stamp": stamp, "made": made}, path)
    return made


def report(line: str) -> None:
    """Say how far it is."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
