"""The bundled model: in the published layout, small, described as it was measured."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings

import pytest
import torch

from helpers.clips import EXAMPLES
from helpers.oracles.auto_model import funasr_auto_model
from helpers.paths import ROOT
from overtone import EmotionRecognizer
from overtone.compat import AutoModel
from overtone.models import checkpoints

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
    named = {
        "**{:.3f}** |": "uar_pooled",
        "own UAR | {:.3f} |": "uar_mean_of_speakers",
        "| Accuracy | {:.3f} |": "weighted_accuracy",
        "as delivered | {:.3f} |": "ece_before",
        "not applied) | {:.3f} |": "ece_after",
    }
    for form, key in named.items():
        assert form.format(measured[key]) in card, key
    for speaker, recall in measured["uar_per_speaker"].items():
        assert re.search(rf"\| {speaker} \|[^|]*\| {recall:.3f} \|", card), speaker
    confusion = measured["confusion"]
    for label, row in zip(confusion["labels"], confusion["rows_truth_columns_guess"], strict=True):
        recall = measured["recall_per_class"][label]
        assert f"| {label} | {' | '.join(map(str, row))} | {recall:.3f} |" in card
    weights = torch.load(FOLDER / "model.pt", weights_only=True)["model"]
    assert f"| Parameters | {sum(tensor.numel() for tensor in weights.values()):,} |" in card


def test_its_recipe_is_the_one_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")
    monkeypatch.syspath_prepend(str(ROOT))
    from training.recipe import Recipe

    measured = json.loads((ROOT / "training" / "results" / "loso.json").read_text(encoding="utf-8"))
    assert measured["recipe"] == json.loads(json.dumps(dataclasses.asdict(Recipe())))
