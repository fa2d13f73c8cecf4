"""An hour of real speech from end to end, beside FunASR: the same words, at the same times, to the last of them."""

from __future__ import annotations

import warnings
import wave
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.clips import CLIPS, decoded
from helpers.oracles import ct_transformer, fsmn_vad, paraformer, sense_voice
from overtone.compat import AutoModel

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

pytestmark = pytest.mark.slow

RATE, HOUR_S = 16_000, 3600
SPEECH = (
    "speech/wenet/*",
    "speech/librivox/*",
    "speech/sonnets/*",
    "speech/formats/p001.mp3",
    "speech/lhotse/LJ*",
    "emodb/wav/*",
)
"""Mandarin, English and German, by several people."""


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it in one order after another, with pauses of 0.3 to 1.2 s."""
    paths = sorted(path for pattern in SPEECH for path in CLIPS.glob(pattern))
    clips = [(decoded(path) * 32767).astype("<i2").tobytes() for path in paths]
    dice = np.random.default_rng(0)
    target = tmp_path_factory.mktemp("hour") / "hour.wav"
    left = 2 * RATE * HOUR_S
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        while left > 0:
            for clip in dice.permutation(len(clips)):
                piece = (clips[clip] + bytes(2 * round(dice.uniform(0.3, 1.2) * RATE)))[:left]
                file.writeframes(piece)
                left -= len(piece)
    return target


def heard(model: Any, hour: Path, **more: Any) -> tuple[str, list[tuple[int, int]]]:
    (result,) = model.generate(str(hour), **more)
    return result["text"], [tuple(times) for times in result["timestamp"]]


TIES = {"sensevoice": 0, "paraformer": 3}
"""Of more than 10,000 tokens, those that may differ: random weights tell some of them from the next likeliest by less
than rounding. FunASR itself gives 1 other token when its samples are changed by one part in 10 million, 2 by one in a
million, and another number of tokens by one in 100,000."""

TIME_TIES = {"sensevoice": 0, "paraformer": 1}
"""Of as many boundaries between tokens, those that may lie one frame of 20 ms elsewhere. FunASR itself moves 1 when its
samples are changed by one part in a million."""

MARKS = str.maketrans("", "", "，。？、")
"""Marks of punctuation, which follow from the tokens."""


@pytest.mark.parametrize("name", TIES)
def test_an_hour_is_heard_as_funasr_hears_it(name: str, hour: Path, tmp_path: Path) -> None:
    if name == "sensevoice":
        model, beside, more = sense_voice.publish(tmp_path / "model"), {}, {"output_timestamp": True}
    else:
        model = paraformer.publish(tmp_path / "model", kind="BiCifParaformer")
        beside, more = {"punc_model": str(ct_transformer.publish(tmp_path / "punc"))}, {}
    beside["vad_model"] = str(fsmn_vad.publish(tmp_path / "vad"))
    ours = AutoModel(str(model), **beside, device="cpu", disable_update=True)
    text, times = heard(ours, hour, **more)
    ours.close()
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import funasr

        told = {"disable_update": True, "disable_pbar": True, "device": "cpu", "ncpu": 1}
        expected, expected_times = heard(funasr.AutoModel(model=str(model), **beside, **told), hour, **more)
    torch.set_num_threads(threads)  # FunASR sets it
    assert len(expected_times) > 10_000
    assert len(times) == len(expected_times)
    moved = [(a, b) for a, b in zip(chain(*times), chain(*expected_times), strict=True) if a != b]
    assert len(moved) <= 2 * TIME_TIES[name]  # the end of one token and the start of the next
    assert all(abs(a - b) == 20 for a, b in moved)
    assert abs(len(text) - len(expected)) <= TIES[name]
    tokens, expected_tokens = text.translate(MARKS), expected.translate(MARKS)
    assert sum(mine != theirs for mine, theirs in zip(tokens, expected_tokens, strict=True)) <= TIES[name]
