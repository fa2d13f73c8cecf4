"""Training runs: a few real steps of every stage, through the code that made `tiny`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from helpers.clips import EXAMPLES, buzz
from helpers.paths import ROOT
from overtone import EmotionRecognizer

STEPS = 3


@pytest.fixture(scope="module")
def training() -> Iterator[SimpleNamespace]:
    """The modules of training/, which run on one thread, as there."""
    for needed in ("scipy", "soundfile"):
        pytest.importorskip(needed)
    if not (ROOT / "training").is_dir():
        pytest.skip("training/ does not come with the package")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        names = ("bank", "checkpoint", "data", "fit", "loso", "network", "pretrain", "recipe")
        yield SimpleNamespace(**{name: import_module(f"training.{name}") for name in names})
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recipe(training: SimpleNamespace) -> Any:
    """The recipe, three steps long; nothing is drawn but the initial weights, so that every step sees the same."""
    whole = training.recipe.Recipe()
    plain = {"steps": STEPS, "averaging": 0.0, "dropout": 0.0, "channel_mask": 0.0, "time_mask": 0, "crop_frames": 1000}
    front_end = replace(whole.front_end, steps=STEPS, batch=2, crop_seconds=1.0, copies=1)
    return replace(
        whole, front_end=front_end, summary=replace(whole.summary, **plain), upper=replace(whole.upper, **plain)
    )


@pytest.fixture(scope="module")
def extractor(training: SimpleNamespace, recipe: Any) -> Any:
    return training.pretrain.pretrain([buzz(3.0), buzz(3.0, seed=1)], recipe.front_end, 0, lambda line: None)


@pytest.fixture(scope="module")
def unlabelled(training: SimpleNamespace, recipe: Any, extractor: Any) -> Any:
    """Three pieces of something like a voice, of different lengths."""
    pieces = training.fit.segments([buzz(2.4), buzz(0.9, seed=1)], 1.2)
    assert len(pieces) == 3
    return training.bank.build_bank(pieces, extractor, recipe.augmentation, 1, 0)


@pytest.fixture(scope="module")
def bank(training: SimpleNamespace, recipe: Any, extractor: Any, unlabelled: Any) -> Any:
    """Three acted utterances, and the unlabelled pieces."""
    data = training.data
    acted = [
        data.Utterance(name, name, "", data.LETTERS.index(letter), data.load_wave(EXAMPLES / f"{name}.wav")[:24_000])
        for name, letter in (("angry", "W"), ("happy", "F"), ("sad", "T"))
    ]
    return training.bank.build_bank(acted, extractor, recipe.augmentation, 1, 0) + unlabelled


@pytest.fixture
def losses(training: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Of each step, as it is taken."""
    found: list[float] = []
    measured = training.fit.Task.loss

    def watched(*args: Any) -> torch.Tensor:
        loss: torch.Tensor = measured(*args)
        found.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(training.fit.Task, "loss", watched)
    return found


def moved(before: torch.nn.Module, after: torch.nn.Module) -> dict[str, float]:
    """How far each parameter went, at most."""
    old = dict(before.named_parameters())
    return {name: float((new - old[name]).detach().abs().max()) for name, new in after.named_parameters()}


def test_the_front_end_learns(training: SimpleNamespace, recipe: Any, extractor: Any) -> None:
    torch.manual_seed(0)
    fresh = training.network.build(training.network.config()).audio.local_encoder
    with torch.no_grad():
        fresh.get_parameter("conv_layers.0.0.weight").mul_(recipe.front_end.first_scale)
    for name, distance in moved(fresh, extractor).items():
        assert 0 < distance < 0.1, name


def test_the_encoder_learns_from_unlabelled_speech(
    training: SimpleNamespace, recipe: Any, extractor: Any, unlabelled: Any, losses: list[float]
) -> None:
    torch.manual_seed(0)
    fresh = training.fit.new_classifier(recipe, extractor)
    start = training.fit.summarise(unlabelled, recipe, extractor, 0)
    assert len(losses) == STEPS
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    for name, distance in moved(fresh, start).items():
        # The front end is kept, the recipe keeps ALiBi's scale, and no emotion is asked for.
        kept = "local_encoder" in name or "alibi_scale" in name or name.startswith("proj.")
        assert distance == 0 if kept else 0 < distance < 0.1, name
    again = training.fit.summarise(unlabelled, recipe, extractor, 0)
    assert set(moved(start, again).values()) == {0.0}


def test_everything_learns_from_emotions(
    training: SimpleNamespace, recipe: Any, extractor: Any, bank: Any, losses: list[float]
) -> None:
    torch.manual_seed(0)
    start = training.fit.new_classifier(recipe, extractor)
    chosen = range(len(bank.utterances))
    model = training.fit.fit(bank, chosen, replace(recipe, joint=recipe.upper), start, 0)
    assert len(losses) == 2 * STEPS
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[STEPS - 1] < losses[0]
    for name, distance in moved(start, model).items():
        assert distance == 0 if "alibi_scale" in name else 0 < distance < 0.1, name


@pytest.mark.parametrize("joint", [False, True])
def test_gradients_reach_the_front(
    training: SimpleNamespace, recipe: Any, extractor: Any, bank: Any, joint: bool
) -> None:
    torch.manual_seed(0)
    model = training.fit.new_classifier(recipe, extractor)
    scale = model.net.audio.alibi_scale.requires_grad_()  # which the recipe keeps
    task = training.fit.Task(bank, range(len(bank.utterances)), recipe, 0)
    task.loss(model, recipe.upper, joint).backward()
    audio = model.net.audio
    front = {
        **{f"block.{name}": p for name, p in audio.context_encoder.blocks[0].named_parameters()},
        **{f"positions.{name}": p for name, p in audio.relative_positional_encoder.named_parameters()},
        **{f"projection.{name}": p for name, p in audio.project_features.named_parameters()},
        "extra_tokens": audio.extra_tokens,
    }
    if joint:
        front |= dict(audio.local_encoder.named_parameters())
    for name, parameter in front.items():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert scale.grad.isfinite().all()
    assert (scale.grad != 0).all(), "a head whose slope is not felt"


def test_what_is_trained_is_what_answers_once_written(
    training: SimpleNamespace, recipe: Any, extractor: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = training.fit.new_classifier(recipe, extractor).eval()
    wave = torch.from_numpy(training.data.normalise(training.data.load_wave(EXAMPLES / "angry.wav")))
    with torch.no_grad():
        model.proj.weight.mul_(50)  # fresh weights give the classes scores that hardly differ
        local = extractor(wave[None])
        trained = model.proj(model.pool(local, torch.tensor([local.shape[1]])))[0].softmax(0)
    measured = np.exp(training.loso.predict(model, [wave]))[0]
    training.checkpoint.write_checkpoint(model, training.network.config(), 1.0, tmp_path)
    with EmotionRecognizer(str(tmp_path), backend="torch") as recognizer:
        scores = recognizer(EXAMPLES / "angry.wav").scores
    found = [scores[name] for name in training.data.NAMES]
    assert max(found) - min(found) > 0.1
    np.testing.assert_allclose(found, trained.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found, measured, rtol=0, atol=1e-5)
