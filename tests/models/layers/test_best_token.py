"""The likeliest token of each row, in both runtimes, against PyTorch's own search, softmax and logarithm of sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.oracles.run import openvino_run, torch_run
from overtone.models.graph import Graph
from overtone.models.layers.best_token import best_token

VOCABULARY = 517


class Whole(Graph):
    """The function as a graph of its own."""

    outputs = ("best", "probability", "total")

    def __init__(self) -> None:
        super().__init__()
        self.inputs = {"scores": (-1, VOCABULARY)}

    def forward(self, scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return best_token(scores)

    def example(self) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(3, VOCABULARY),)


RUNS = {"torch": torch_run, "openvino": openvino_run}


@pytest.mark.parametrize("runtime", RUNS)
def test_it_is_the_first_of_the_highest_scores(runtime: str) -> None:
    random = np.random.default_rng(0)
    scores = (6 * random.standard_normal((40, VOCABULARY))).astype(np.float32)
    scores[0] = 0  # all alike
    scores[1, [7, 300]] = 50  # two alike
    scores[2, 5:] = -np.inf
    scores[3, -1] = 99
    found = RUNS[runtime]({"whole": Whole()})("whole", {"scores": scores})
    expected = torch.from_numpy(scores)
    assert found["best"].dtype == np.int64
    assert found["best"].tolist() == scores.argmax(axis=1).tolist()
    assert found["best"][:2].tolist() == [0, 7]
    softmax = torch.softmax(expected, dim=1).amax(dim=1).numpy()
    np.testing.assert_allclose(found["probability"], softmax, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["total"], torch.logsumexp(expected, dim=1).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNS)
def test_what_are_no_numbers_has_a_token_of_the_vocabulary_and_is_seen(runtime: str) -> None:
    scores = np.full((2, VOCABULARY), np.nan, np.float32)
    scores[1] = np.inf
    found = RUNS[runtime]({"whole": Whole()})("whole", {"scores": scores})
    assert ((found["best"] >= 0) & (found["best"] < VOCABULARY)).all()
    assert not np.isfinite(found["total"]).any()
