"""Integrate-and-fire, and the times of what has fired, against FunASR's and against a plain account of both."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from overtone.models.paraformer import cif
from overtone.models.paraformer import timestamps as fire_times

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def predictors() -> tuple[Any, Any]:
    """How FunASR's two predictors integrate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        second = pytest.importorskip("funasr.models.paraformer.cif_predictor")
        third = pytest.importorskip("funasr.models.bicif_paraformer.cif_predictor")
    return second.cif_v1, third.cif


@pytest.fixture(scope="module")
def timestamps() -> Any:
    """FunASR's rules of times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("funasr.utils.timestamp_tools")


def item(seed: int, frames: int, rate: float) -> tuple[Floats, Floats]:
    """Frames (1, T, 5) and their shares (1, T + 1) with a tail, like those of speech."""
    random = np.random.default_rng(seed)
    shares = random.beta(0.5, 0.5 / rate - 0.5, (1, frames)).astype(np.float32)
    alphas = np.concatenate([shares, np.full((1, 1), 0.45, np.float32)], axis=1)
    return random.standard_normal((1, frames, 5)).astype(np.float32), alphas


items = st.builds(item, st.integers(0, 1000), st.integers(1, 120), st.floats(0.05, 0.45))


@given(items)
def test_embeddings_are_sums_of_shares(given_item: tuple[Floats, Floats]) -> None:
    hidden, alphas = given_item
    counts = cif.token_counts(alphas)
    made = cif.embeddings(hidden, alphas, counts)[0]
    # Token k takes from each frame what of [k, k + 1] lies between the sums before and after it.
    sums = np.concatenate([[0], np.cumsum(alphas[0], dtype=np.float64)])
    for token in range(counts[0]):
        taken = np.clip(sums[1:], token, token + 1) - np.clip(sums[:-1], token, token + 1)
        # Sums up to 50 are rounded to float32, 4e-6 each, of which the remainders are made.
        np.testing.assert_allclose(made[token], taken[:-1] @ hidden[0].astype(np.float64), atol=5e-5)
    assert not made[counts[0] :].any()


@given(items)
def test_funasr_fires_the_same(predictors: tuple[Any, Any], given_item: tuple[Floats, Floats]) -> None:
    hidden, alphas = given_item
    padded = torch.from_numpy(np.pad(hidden, ((0, 0), (0, 1), (0, 0))))
    counts = cif.token_counts(alphas)
    made = cif.embeddings(hidden, alphas, counts)
    assert counts[0] == int(torch.from_numpy(alphas).sum(-1).floor())
    for theirs in predictors:
        try:
            expected = theirs(padded, torch.from_numpy(alphas), 1.0)[0][:, : counts[0]].numpy()
        except RuntimeError:
            continue  # it cannot pad where it has fired at the very end
        # FunASR takes differences of float32 sums over the whole: sums of some 50 frames, rounded to 4e-6 each.
        np.testing.assert_allclose(made[:, : counts[0]], expected, atol=5e-5)


@given(st.lists(items, min_size=2, max_size=4), st.integers(1, 9))
def test_rows_of_a_batch_are_as_alone(rows: list[tuple[Floats, Floats]], step: int) -> None:
    longest = max(hidden.shape[1] for hidden, _ in rows) + 3
    hidden = np.concatenate([np.pad(row, ((0, 0), (0, longest - row.shape[1]), (0, 0))) for row, _ in rows])
    alphas = np.concatenate([np.pad(row, ((0, 0), (0, longest + 1 - row.shape[1]))) for _, row in rows])
    counts = cif.token_counts(alphas)
    made = cif.embeddings(hidden, alphas, counts, step=step)
    assert made.shape[1] % step == 0
    for row, (own_hidden, own_alphas) in enumerate(rows):
        own_counts = cif.token_counts(own_alphas)
        assert counts[row] == own_counts[0]
        own = cif.embeddings(own_hidden, own_alphas, own_counts)[0]
        # NumPy may add the last token's few frames in another order.
        np.testing.assert_allclose(made[row, : counts[row]], own[: counts[row]], atol=1e-6)


def test_silence_holds_no_token() -> None:
    alphas = np.array([[0, 0, 0.45]], np.float32)
    assert cif.token_counts(alphas).tolist() == [0]
    assert not cif.embeddings(np.ones((1, 2, 3), np.float32), alphas, np.array([0])).any()


def test_without_a_tail_half_a_token_is_one() -> None:
    alphas = np.array([[0.9, 0.7]], np.float32)
    counts = cif.token_counts(alphas, tail=False)
    assert counts.tolist() == [2]
    made = cif.embeddings(np.ones((1, 2, 3), np.float32), alphas, counts)
    np.testing.assert_allclose(made[0, 0], 1, atol=1e-6)
    assert not made[0, 1].any()


def weights_of(seed: int, frames: int, tokens: int) -> Floats:
    """Three weights a frame, in heaps as a trained predictor makes them, adding up to `tokens`."""
    random = np.random.default_rng(seed)
    return fire_times.scale_to_count(random.gamma(0.15, 1.0, 3 * frames).astype(np.float32), tokens)


@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 12), st.integers(-1, 1))
def test_times_are_those_of_funasr(timestamps: Any, seed: int, frames: int, tokens: int, more: int) -> None:
    weights = weights_of(seed, frames, tokens + 1)
    tokens = max(1, tokens + more)  # marks that were left out, or never said
    peaks = timestamps.cif_wo_hidden(torch.from_numpy(weights)[None], 1 - 1e-4)[0]
    mine = fire_times.token_times(weights.copy(), tokens)
    assert mine.shape == (tokens, 2)
    assert (mine[:, 0] <= mine[:, 1]).all()
    try:
        _, expected = timestamps.ts_prediction_lfr6_standard(torch.from_numpy(weights.copy()), peaks, ["x"] * tokens)
    except IndexError:
        return  # where weights fire too often, or not at all
    assert mine[: len(expected)].tolist() == [[max(0, start), max(0, stop)] for start, stop in expected]


def test_without_weights_tokens_share_the_time() -> None:
    times = fire_times.token_times(fire_times.scale_to_count(np.zeros(30, np.float32), 3), 2)
    assert times.tolist() == [[0, 300], [300, 600]]


def test_no_tokens_have_no_times() -> None:
    assert fire_times.token_times(np.ones(3, np.float32), 0).shape == (0, 2)


def test_a_long_pause_is_not_part_of_a_token() -> None:
    weights = np.zeros(90, np.float32)
    weights[[10, 60, 80]] = 1
    assert fire_times.token_times(weights, 2).tolist() == [[170, 410], [1170, 1410]]
