"""Voices told apart: against FunASR's clustering, against the truth, and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.paths import TESTS
from helpers.speaking import shares_right, speaking
from overtone.merging.speakers.clustering import EXACT, MIN_WINDOWS, cluster, merge_same_voices, renumbered
from overtone.merging.speakers.kmeans import kmeans
from overtone.merging.speakers.spectral import spectral


@pytest.fixture(scope="module")
def backend() -> Any:
    """FunASR's clustering."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip(
            "funasr.models.campplus.cluster_backend", reason="funasr, the oracle, is not installed"
        )
    return module.ClusterBackend()


def by_funasr(backend: Any, embeddings: np.ndarray, speakers: int | None) -> np.ndarray:
    np.random.seed(0)  # what scikit-learn draws from
    return backend(torch.from_numpy(embeddings), oracle_num=speakers)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("windows", "speakers"), [(1, 1), (19, 2), (20, 2), (31, 3), (60, 1), (150, 4), (400, 2), (700, 12), (1200, 6)]
)
def test_labels_are_those_of_funasr(backend: Any, windows: int, speakers: int, known: bool) -> None:
    embeddings, _ = speaking(windows, speakers, seed=windows)
    number = speakers if known else None
    wanted = by_funasr(backend, embeddings, number)
    np.testing.assert_array_equal(cluster(embeddings, number), renumbered(wanted))


@settings(max_examples=25)
@given(st.integers(20, 160), st.integers(1, 8), st.integers(0, 10**6), st.floats(0.2, 2.0))
def test_as_many_voices_as_funasr_finds(backend: Any, windows: int, speakers: int, seed: int, noise: float) -> None:
    """Before k-means, which FunASR starts at random."""
    embeddings, _ = speaking(windows, speakers, seed=seed, noise=noise)
    theirs = backend.spectral_cluster
    laplacian = theirs.get_laplacian(_tied(theirs, embeddings))
    _, wanted = theirs.get_spec_embs(laplacian)
    assert len(set(spectral(embeddings).tolist())) == wanted


def _tied(theirs: Any, embeddings: np.ndarray) -> np.ndarray:
    kept = theirs.p_pruning(theirs.get_sim_mat(embeddings))
    return 0.5 * (kept + kept.T)


@settings(max_examples=60)
@given(st.integers(1, 8), st.integers(0, 10**6), st.floats(0.1, 3.0), st.floats(0.1, 0.95))
def test_voices_too_much_alike_are_joined_as_by_funasr(
    backend: Any, speakers: int, seed: int, noise: float, same: float
) -> None:
    embeddings, _ = speaking(80, speakers, seed=seed, noise=noise)
    labels = renumbered(np.random.default_rng(seed).integers(0, 5, 80)).astype(np.intp)
    wanted = backend.merge_by_cos(labels.copy(), torch.from_numpy(embeddings), same)
    np.testing.assert_array_equal(merge_same_voices(embeddings, labels, same), wanted)


def test_fewer_windows_than_that_are_one_voice() -> None:
    embeddings, _ = speaking(MIN_WINDOWS - 1, 2, seed=0)
    assert not cluster(embeddings).any()
    assert not cluster(embeddings, 2).any()
    assert len(cluster(embeddings[:0])) == 0


@pytest.mark.parametrize("same", [0.0, 1.0])
def test_windows_that_are_all_alike_are_one_voice(same: float) -> None:
    assert not cluster(np.full((200, 8), same, np.float32)).any()


@settings(max_examples=20)
@given(st.integers(20, 200), st.integers(1, 40), st.integers(0, 1000))
def test_labels_are_contiguous_and_always_the_same(windows: int, speakers: int, seed: int) -> None:
    embeddings = np.random.default_rng(seed).standard_normal((windows, 6)).astype(np.float32)
    labels = cluster(embeddings, speakers)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, renumbered(labels))
    assert labels.max() < speakers
    np.testing.assert_array_equal(labels, cluster(embeddings, speakers))


def test_more_windows_than_funasr_clusters_are_told_apart_as_well() -> None:
    embeddings, truth = speaking(3 * EXACT, 7, seed=1)
    assert shares_right(cluster(embeddings), truth) > 0.98  # windows in which the speaker changes are either's
    assert shares_right(cluster(embeddings, 7), truth) > 0.98


def test_kmeans_finds_what_is_plainly_there() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 9, 500)
    points = (10 * random.standard_normal((9, 4))[truth] + random.standard_normal((500, 4)) / 10).astype(np.float32)
    np.testing.assert_array_equal(renumbered(kmeans(points, 9)), renumbered(truth))
    assert len(set(kmeans(points[:1].repeat(30, axis=0), 4).tolist())) == 1
    assert set(kmeans(points[:3], 5).tolist()) == {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [2, 5, 15])
def test_ten_hours_are_told_apart(speakers: int) -> None:
    embeddings, truth = speaking(48_000, speakers, seed=speakers)
    assert shares_right(cluster(embeddings), truth) > 0.98


GROWTH = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from helpers.speaking import speaking
from overtone.system.machine import peak_rss_bytes
from overtone.merging.speakers.clustering import cluster
embeddings, _ = speaking(48_000, 3, seed=0)
held = peak_rss_bytes()
cluster(embeddings)
print(peak_rss_bytes() - held)
"""


@pytest.mark.slow
def test_ten_hours_take_little_memory() -> None:
    found = subprocess.run(
        [sys.executable, "-c", GROWTH, str(TESTS)], capture_output=True, encoding="utf-8", check=True
    )
    assert int(found.stdout) < 256 << 20  # some 180 MiB, most of it LAPACK's, at any length
