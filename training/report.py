"""The leave-one-speaker-out measurement as numbers to keep."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from typing import Any

import numpy as np
import scipy
import torch
from training.bank import Bank
from training.data import NAMES, UNLABELLED
from training.evaluate import (
    Floats,
    average_recall,
    calibration_error,
    confusion,
    cross_entropy,
    fit_temperature,
    recalls,
)


def measure(bank: Bank, logits: Floats) -> dict[str, Any]:
    """Figures of held-out `logits` (utterances, classes).

    The temperature for one speaker's scores is fitted on the other speakers' held-out logits. `temperature`, for the
    network trained on all, is fitted on everybody's; it is 1 where those of the speakers do not lower the
    cross-entropy, for then there is nothing to correct.
    """
    known = bank.labels.numpy() != UNLABELLED
    logits, truth = logits[known], bank.labels.numpy()[known]
    guess = logits.argmax(axis=1)
    owner = np.array([utterance.speaker for utterance in bank.utterances])[known]
    cooled = np.empty_like(logits)
    per_speaker = {}
    for speaker in sorted(set(owner)):
        own = owner == speaker
        cooled[own] = logits[own] / fit_temperature(logits[~own], truth[~own])
        per_speaker[str(speaker)] = round(average_recall(truth[own], guess[own]), 4)
    losses = cross_entropy(logits, truth), cross_entropy(cooled, truth)
    fitted = fit_temperature(logits, truth)
    return {
        "uar_pooled": round(average_recall(truth, guess), 4),
        "uar_mean_of_speakers": round(float(np.mean(list(per_speaker.values()))), 4),
        "uar_per_speaker": per_speaker,
        "recall_per_class": dict(zip(NAMES, recalls(truth, guess).round(4).tolist(), strict=True)),
        "weighted_accuracy": round(float((truth == guess).mean()), 4),
        "confusion": {"labels": list(NAMES), "rows_truth_columns_guess": confusion(truth, guess).tolist()},
        "ece_before": round(calibration_error(logits, truth), 4),
        "ece_after": round(calibration_error(cooled, truth), 4),
        "cross_entropy_before": round(losses[0], 4),
        "cross_entropy_after": round(losses[1], 4),
        "temperature_fitted": round(fitted, 4),
        "temperature": round(fitted, 4) if losses[1] < losses[0] else 1.0,
        "utterances": len(truth),
    }


def circumstances(seconds: float) -> dict[str, Any]:
    """Date, hardware, versions, and duration of a training."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "wall_minutes": round(seconds / 60, 1),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
