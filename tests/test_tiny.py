"""The bundled model: in the published layout, small, described as it was measured."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest

from conftest import EXAMPLES, funasr_auto_model
from overtone import EmotionRecognizer, checkpoints
from overtone.compat import AutoModel

ROOT = Path(__file__).parents[1]
FOLDER = checkpoints.find("tiny").folder


@pytest.fixture(scope="module")
def tiny() -> EmotionRecognizer:
    return EmotionRecognizer("tiny")


def test_it_is_small_and_carries_its_licence() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 10_000_000
    assert (FOLDER / "LICENSE").is_file()


def test_it_has_the_seven_classes_of_its_corpus(tiny: EmotionRecognizer) -> None:
    assert sorted(tiny.labels) == ["angry", "bored", "disgusted", "fearful", "happy", "neutral", "sad"]


@pytest.mark.parametrize("emotion", ["angry", "happy", "sad"])
def test_it_hears_what_it_was_taught(tiny: EmotionRecognizer, emotion: str) -> None:
    assert tiny(EXAMPLES / f"{emotion}.wav").label == emotion


def test_funasr_itself_loads_it_and_says_the_same() -> None:
    theirs = funasr_auto_model(FOLDER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (expected,) = theirs.generate(str(EXAMPLES / "angry.wav"))
    (got,) = AutoModel(model="tiny").generate(str(EXAMPLES / "angry.wav"))
    assert got["labels"] == expected["labels"]
    assert got["scores"] == pytest.approx(expected["scores"], abs=1e-5)


def test_its_card_says_what_was_measured() -> None:
    measured = json.loads((ROOT / "training" / "results" / "loso.json").read_text(encoding="utf-8"))
    card = (ROOT / "docs" / "model-card-tiny.md").read_text(encoding="utf-8")
    assert f"**{measured['uar_pooled']:.3f}**" in card
    for speaker, recall in measured["uar_per_speaker"].items():
        assert re.search(rf"\| {speaker} \|[^|]*\| {recall:.3f} \|", card), speaker
