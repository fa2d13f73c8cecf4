"""Material of the transcription benchmarks: checkpoints of the published shapes with seeded random weights, and real
speech.

The checkpoints come from `tests/helpers/oracles`, which makes them with FunASR's own classes, laid out as published.
"""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import RATE, ROOT, child
from overtone.audio import Decoder
from overtone.tools.benchmark import write_wav
from overtone.types import Samples

MODELS = ("sensevoice", "paraformer")
"""Models that recognize words."""

_ORACLES: dict[str, tuple[str, dict[str, str]]] = {
    "sensevoice": ("sense_voice", {}),
    "paraformer": ("paraformer", {"kind": "SeacoParaformer"}),
    "plain-paraformer": ("paraformer", {"kind": "Paraformer"}),
    "vad": ("fsmn_vad", {}),
    "punctuation": ("ct_transformer", {}),
    "speakers": ("campplus", {}),
}
"""Module of `tests/helpers/oracles`, and the arguments of its `publish` beside the size."""

PUBLISH = """
import importlib
import shutil
import torch
from pathlib import Path
torch.set_num_threads(arguments["threads"])
sys.path.insert(0, arguments["tests"])
for made in arguments["made"]:
    oracle = importlib.import_module("helpers.oracles." + made["oracle"])
    part = Path(made["folder"] + ".part")
    shutil.rmtree(part, ignore_errors=True)
    oracle.publish(part, size=made["size"], **made["options"])
    part.rename(made["folder"])
answer()
"""

CORPUS = ("wenet", "librivox", "sonnets", "whisper")
"""Folders of `../shared/data/speech`: Chinese and English, read by several people."""

_SUFFIXES = (".wav", ".mp3", ".flac")
_LONGEST_PAUSE_S = 1.2
_SHORTEST_PAUSE_S = 0.3


def checkpoint(folder: Path, name: str, size: str, threads: int = 1) -> str:
    """The folder of a checkpoint, made where it is not there yet.

    size: `published`, `small`, or for punctuation `large`.
    """
    return checkpoints(folder, [(name, size)], threads)[0]


def checkpoints(folder: Path, wanted: Sequence[tuple[str, str]], threads: int = 1) -> list[str]:
    """Folders of checkpoints by name and size. Those that are not there yet are made in one process: PyTorch and FunASR
    take longer to import than small ones to make."""
    folders = [folder / f"{name}-{size}" for name, size in wanted]
    made = []
    for (name, size), place in zip(wanted, folders, strict=True):
        if not place.is_dir():
            oracle, options = _ORACLES[name]
            made.append({"oracle": oracle, "options": options, "size": size, "folder": str(place)})
    if made:
        child(PUBLISH, made=made, tests=str(ROOT / "tests"), threads=threads)
    return [str(place) for place in folders]


def with_models(folder: Path, model: str, size: str, punctuation: str, threads: int = 1) -> dict[str, Any]:
    """A recognizer with its auxiliary models, as `TranscribeOptions` names them."""
    wanted = {"model": (model, size), "vad": ("vad", size)}
    if model == "paraformer":
        wanted["punctuation"] = ("punctuation", punctuation)
    return dict(zip(wanted, checkpoints(folder, [*wanted.values()], threads), strict=True))


def utterances(folders: Sequence[Path]) -> list[Samples]:
    """Every file of some folders, in the order of their names: float32 (samples,), 16 kHz."""
    found = []
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES):
            with Decoder(str(path)) as decoder:
                found.append(np.concatenate(list(decoder.blocks())))
    if not found:
        raise SystemExit(f"no speech in {', '.join(map(str, folders))}; name folders of audio with --corpus.")
    return found


def joined(speech: Sequence[Samples], *, seed: int = 0) -> Iterator[Samples]:
    """Utterances in one random order after another, without end, with a pause of random length after each."""
    random = np.random.default_rng(seed)
    while True:
        for index in random.permutation(len(speech)):
            yield speech[index]
            yield np.zeros(round(random.uniform(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S) * RATE), np.float32)


def write_long(path: Path, speech: Sequence[Samples], seconds: float) -> Path:
    """A 16-bit mono file of so many seconds of utterances joined, written piece by piece."""
    left = round(seconds * RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for piece in joined(speech):
            cut = piece[:left]
            file.writeframes((np.clip(cut, -1, 1) * 32767).astype("<i2").tobytes())
            left -= len(cut)
            if left <= 0:
                return path
    return path


def write_pieces(folder: Path, speech: Sequence[Samples], lengths_s: Sequence[float], *, seed: int = 0) -> list[Path]:
    """Files of these lengths, cut from anywhere in the utterances joined."""
    some = joined(speech, seed=seed)
    whole = np.concatenate([next(some) for _ in range(2 * len(speech))])
    random = np.random.default_rng(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [
        write_wav(folder / f"{index:04}.wav", whole, seconds, start_s=random.uniform(0, len(whole) / RATE))
        for index, seconds in enumerate(lengths_s)
    ]
