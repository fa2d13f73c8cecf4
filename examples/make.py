"""Make the examples of utterances of the Berlin Database of Emotional Speech; `call.mp3` has a talker on each channel.

python examples/make.py ../shared/data/emodb/wav
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import av
import numpy as np
import soundfile

HERE = Path(__file__).parent
RATE = 16_000

TURNS = (
    (0, "08a01Na", 0.8),
    (1, "11a02Nc", 0.9),
    (0, "08a05Nb", 0.7),
    (1, "11b01Nc", 1.0),
    (0, "08a02La", 0.8),
    (1, "11a01Wc", 0.6),
    (0, "08b02Wd", 0.7),
    (1, "11b03Wa", 1.6),
    (0, "08b03Tc", 1.2),
    (1, "11b09Td", 1.5),
    (0, "08a04Ff", 0.8),
    (1, "11b02Na", 0.8),
)
"""(channel, utterance, seconds of silence after it)."""

SINGLES = {"angry.wav": "11a01Wc", "happy.wav": "08a04Ff", "sad.wav": "08b03Tc"}


def main(folder: Path) -> None:
    """Write the examples beside this file."""
    for name, utterance in SINGLES.items():
        shutil.copyfile(folder / f"{utterance}.wav", HERE / name)
        (HERE / name).chmod(0o644)
    left, right = [], []
    for channel, utterance, pause in TURNS:
        samples, rate = soundfile.read(folder / f"{utterance}.wav", dtype="float32")
        assert rate == RATE, utterance
        turn = np.concatenate([samples, np.zeros(round(pause * RATE), np.float32)])
        noise = np.random.default_rng(len(left)).normal(0, 3e-4, len(turn)).astype(np.float32)
        left.append(turn + noise if channel == 0 else noise)
        right.append(turn + noise if channel == 1 else noise)
    write_mp3(HERE / "call.mp3", np.stack([np.concatenate(left), np.concatenate(right)]))


def write_mp3(path: Path, samples: np.ndarray) -> None:
    """Write (2, n) float32 samples at 16 kHz."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="stereo")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        fifo = av.AudioFifo()
        fifo.write(frame)
        for piece in fifo.read_many(stream.codec_context.frame_size or 576, partial=True):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
