"""Leave one speaker out: every speaker is recognized by a network that has never heard them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from training.bank import Bank
from training.data import UNLABELLED
from training.evaluate import Floats
from training.fit import Classifier, fit_all
from training.recipe import Recipe

_shared: tuple[Bank, Recipe, Classifier] | None = None


def speakers(bank: Bank) -> list[str]:
    """All speakers, in order."""
    return sorted({utterance.speaker for utterance in bank.utterances if utterance.label != UNLABELLED})


def held_out_logits(bank: Bank, recipe: Recipe, start: Classifier, processes: int) -> Floats:
    """Logits (utterances, classes) of every utterance from the fold that left its speaker out; unlabelled ones: 0.

    Log-probabilities, in fact, which are logits too.
    """
    global _shared  # noqa: PLW0603 - given to the workers by fork, without a copy
    _shared = (bank, recipe, start)
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        parts = list(pool.map(_fold, speakers(bank)))
    logits = np.zeros((len(bank.utterances), parts[0][1].shape[1]))
    for rows, part in parts:
        logits[rows] = part
    return logits


def _fold(speaker: str) -> tuple[list[int], Floats]:
    """Indices of the speaker's utterances, and their log-probabilities."""
    assert _shared is not None
    torch.set_num_threads(1)
    bank, recipe, start = _shared
    out = [i for i, utterance in enumerate(bank.utterances) if utterance.speaker == speaker]
    model = fit_all(bank, [i for i in range(len(bank.utterances)) if i not in set(out)], recipe, start)
    return out, predict(model, [bank.waves[i][0].float() for i in out])


def predict(model: Classifier, waves: list[torch.Tensor]) -> Floats:
    """Log-probabilities (utterances, classes) of normalized waveforms, whole and one at a time, in float32."""
    rows = []
    with torch.inference_mode():
        for wave in waves:
            pooled = model.net(wave[None]).mean(dim=1)
            rows.append(model.proj(pooled)[0].log_softmax(0).double().numpy())
    return np.stack(rows)
