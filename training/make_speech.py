"""Make the speech that comes with the package: to calibrate 8-bit models on, and to measure what they still agree on.

    python training/make_speech.py ../shared/data/emodb/wav

Six speakers for calibration and two others for measuring, every emotion of each, in turn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import soundfile

FOLDER = Path(__file__).parents[1] / "src" / "overtone" / "assets" / "speech"
RATE = 16_000
PARTS = {"calibration.mp3": ("03", "08", "09", "10", "11", "12"), "held-out.mp3": ("13", "14")}
SECONDS = 120.0


def main(emodb: Path) -> None:
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, speakers in PARTS.items():
        chosen: list[np.ndarray] = []
        # Of each speaker one utterance of each emotion, then the next of each.
        turns = sorted(emodb.glob("*.wav"), key=lambda path: (_place(path, emodb), path.name[5], path.name))
        for path in turns:
            if path.name[:2] in speakers and sum(map(len, chosen)) < SECONDS * RATE:
                samples, rate = soundfile.read(path, dtype="float32")
                assert rate == RATE, path
                chosen += [samples, np.zeros(RATE // 4, np.float32)]
        _write_mp3(FOLDER / name, np.concatenate(chosen))


def _place(path: Path, emodb: Path) -> int:
    """Index of this one among its speaker's utterances of one emotion."""
    return sorted(emodb.glob(f"{path.name[:2]}???{path.name[5]}*.wav")).index(path)


def _write_mp3(path: Path, samples: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
