"""Long real speech from end to end, beside FunASR: the same words, at the same times, to the last of them."""

from __future__ import annotations

import warnings
import wave
from collections.abc import Sequence
from difflib import SequenceMatcher
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

RATE, LONG_S = 16_000, 300
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
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes: all of it in one order after another, with pauses of 0.3 to 1.2 s."""
    paths = sorted(path for pattern in SPEECH for path in CLIPS.glob(pattern))
    clips = [(decoded(path) * 32767).astype("<i2").tobytes() for path in paths]
    dice = np.random.default_rng(0)
    target = tmp_path_factory.mktemp("long") / "speech.wav"
    left = 2 * RATE * LONG_S
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


Token = tuple[int, int]
"""Its start and end in ms."""


def heard(model: Any, speech: Path, **more: Any) -> tuple[str, list[Token]]:
    (result,) = model.generate(str(speech), **more)
    return result["text"].translate(MARKS), [tuple(times) for times in result["timestamp"]]


TIES = 1 / 500
"""Of tokens, and of boundaries between them, those that may differ: random weights tell some of them from the next
likeliest by less than rounding. Of 10,000 tokens of an hour 3 differ on a processor with AVX-512, and 4 on one without.
FunASR itself gives 1 other token when its samples are changed by one part in 10 million, 2 by one in a million, and
another number of tokens by one in 100,000."""

MARKS = str.maketrans("", "", "，。？、")
"""Marks of punctuation, which follow from the tokens."""


@pytest.mark.parametrize("name", ["sensevoice", "paraformer"])
def test_long_speech_is_heard_as_funasr_hears_it(name: str, speech: Path, tmp_path: Path) -> None:
    if name == "sensevoice":
        model, beside, more = sense_voice.publish(tmp_path / "model"), {}, {"output_timestamp": True}
    else:
        model = paraformer.publish(tmp_path / "model", kind="BiCifParaformer")
        beside, more = {"punc_model": str(ct_transformer.publish(tmp_path / "punc"))}, {}
    beside["vad_model"] = str(fsmn_vad.publish(tmp_path / "vad"))
    ours = AutoModel(str(model), **beside, device="cpu", disable_update=True)
    text, times = heard(ours, speech, **more)
    ours.close()
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import funasr

        told = {"disable_update": True, "disable_pbar": True, "device": "cpu", "ncpu": 1}
        expected, expected_times = heard(funasr.AutoModel(model=str(model), **beside, **told), speech, **more)
    torch.set_num_threads(threads)  # FunASR sets it
    assert len(expected_times) > 750
    assert expected_times[-1][1] > 1000 * (LONG_S - 30)
    assert different(text, expected) <= TIES * len(expected)
    assert different(times, expected_times) <= TIES * len(expected_times)
    # What differs lies a frame elsewhere, or is one token more or less: nothing drifts.
    assert abs(times[-1][1] - expected_times[-1][1]) <= 20


def different(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """How many of `theirs` are not in `ours`, in order, or the other way about; whichever are more."""
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return max(len(ours), len(theirs)) - sum(block.size for block in blocks)
