"""Where answers are given: a folder of its own with everything under names that are always the same, and an
environment in which nothing of the person, and nothing of another recording, is found."""

from __future__ import annotations

import os
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import overtone
from answering.texts import Scrubber

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
RATE = 16_000

EVERYTHING = "@made/everything.txt"
"""All audio but what is very long; `record` makes it."""
MANY = "@made/many.txt"
"""Every fourth of those."""
ALL = ("clips", "examples", "made")
"""All audio that is always here."""
FEW = ("clips/emodb", "clips/speech/formats", "clips/speech/lhotse", "examples/call.mp3", "made")
SPEECH = ("made/joined.wav", "made/talkers.wav", "clips/speech/wenet", "examples/sad.wav")

_SETTINGS = {
    "OVERTONE_THREADS": "1",
    "OVERTONE_MEMORY": "3GiB",
    # Every segment runs alone. What shares a batch depends on how fast files were decoded, and the order of additions,
    # so the last digits, on what shares a batch.
    "OVERTONE_BATCH_SIZE_THRESHOLD_S": "0",
    "HF_HUB_OFFLINE": "1",
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore",
    "COLUMNS": "100",
    "LINES": "40",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
_FOLDERS = {
    "OVERTONE_CACHE": "cache",
    "XDG_CACHE_HOME": "cache/others",
    "XDG_CONFIG_HOME": "settings",
    "XDG_DATA_HOME": "kept",
    "HF_HOME": "hub",
    "MODELSCOPE_CACHE": "hub",
    "TMPDIR": "temporary",
}

_TEXTS = {
    "list.txt": "# some\nexamples/sad.wav\nclips/emodb\n\nnone.wav\nsilence.wav\n",
    "wav.scp": "first examples/happy.wav\nsecond made/noise.wav\nthird none.wav\n",
    "list.jsonl": '{"key": "u0", "source": "examples/sad.wav"}\n{"key": "u1", "source": "made/noise.wav"}\n',
    "wrong.txt": "@list.txt\n",
    "wrong.scp": "a\nb sph2pipe a.sph |\nc archive.ark:17\n",
    "empty.txt": "# nothing\n",
    "settings.toml": 'segment = "window"\nwindow = 3.0\nlabels = "published"\n',
    "wrong.toml": "windw = 3.0\n",
}


@dataclass(frozen=True)
class Place:
    """A folder in which commands run. data: how many folders `data1`, `data2` and so on there are in it. checkpoints:
    whether there is `models`."""

    folder: Path
    data: tuple[str, ...]
    checkpoints: bool
    scrub: Scrubber

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command."""
        path = [str(Path(overtone.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        kept = {name: text for name, text in os.environ.items() if not name.startswith("OVERTONE_")}
        folders = {name: str(self.folder / folder) for name, folder in _FOLDERS.items()}
        return kept | _SETTINGS | folders | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def prepare(folder: Path, data: Sequence[Path], checkpoints: Path | None) -> Place:
    """Make one of an empty folder. data: folders of audio. checkpoints: what `checkpoints` made."""
    for name in _FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
    links = {"clips": TESTS / "data", "examples": ROOT / "examples"}
    named = tuple(f"data{place}" for place in range(1, len(data) + 1))
    links |= dict(zip(named, data, strict=True))
    if checkpoints is not None:
        links["models"] = checkpoints
    for name, leads_to in links.items():
        (folder / name).symlink_to(leads_to.resolve(), target_is_directory=True)
    _make_sounds(folder / "made")
    for name, text in _TEXTS.items():
        (folder / "made" / name).write_text(text, encoding="utf-8")
    paths = {str(path.resolve()): f"<{name}>" for name, path in links.items()}
    package = {str(Path(overtone.__file__).parent): "<package>", overtone.__version__: "<version>"}
    paths |= {str(folder): "<here>", str(folder.resolve()): "<here>", sys.executable: "<python>"}
    return Place(folder, named, checkpoints is not None, Scrubber({**paths, **package}))


def _make_sounds(folder: Path) -> None:
    """Audio that no clip is: two languages in turn with pauses, noise, silence, too little of it, other rates."""
    folder.mkdir()
    random = np.random.default_rng(0)
    wenet = TESTS / "data" / "speech" / "wenet"
    mandarin, english = read(wenet / "aishell-BAC009S0724W0121.wav"), read(wenet / "librispeech-1995-1837-0001.wav")
    pause = (1e-4 * random.standard_normal(2 * RATE)).astype(np.float32)
    parts = [mandarin, pause, english[: 6 * RATE], pause, _voice(6), pause, mandarin, pause, english, _voice(5), pause]
    write(folder / "joined.wav", np.concatenate(parts))
    other = np.concatenate([_voice(5), pause])[: len(pause) + len(mandarin)]
    write(folder / "talkers.wav", np.stack([np.concatenate([pause, mandarin]), other]))
    write(folder / "noise.wav", (0.05 * random.standard_normal(3 * RATE)).astype(np.float32))
    write(folder / "silence.wav", np.zeros(3 * RATE, np.float32))
    write(folder / "short.wav", mandarin[8000:8100])
    write(folder / "telephone.wav", english[::2][: 3 * 8000], rate=8000)


def _voice(seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A buzz with a wandering pitch and syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    buzz = np.sum([np.sin(k * phase) / k for k in range(1, 12)], axis=0)
    made: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (
        0.1 * buzz * np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.6, 0, None)
    ).astype(np.float32)
    return made


def read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The samples of a WAV file of 16 bits, one channel."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (samples / 32768).astype(np.float32)


def write(path: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]], *, rate: int = RATE) -> None:
    """Write such a file; of samples of shape (channels, samples) one of several channels."""
    rows = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as file:
        file.setparams((len(rows), 2, rate, 0, "NONE", ""))
        file.writeframes((rows.T * 32767).clip(-32768, 32767).astype("<i2").tobytes())
