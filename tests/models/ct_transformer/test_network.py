"""The network of punctuation against FunASR's own, and its exactness in batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracles import ct_transformer as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.ct_transformer import network as ct_transformer
from overtone.models.ct_transformer.config import CtTransformerConfig
from overtone.models.ct_transformer.embedding_table import EmbeddingTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("ct") / "model")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> checkpoints.Checkpoint:
    return checkpoints.read(folder, name="ct")


@pytest.fixture(scope="module")
def network(checkpoint: checkpoints.Checkpoint) -> ct_transformer.CtTransformer:
    built = ct_transformer.build(checkpoint)["punctuation"]
    assert isinstance(built, ct_transformer.CtTransformer)
    return built


def scores(network: ct_transformer.CtTransformer, embedded: np.ndarray, counts: list[int]) -> np.ndarray:
    with torch.inference_mode():
        hidden = network.encoder(torch.from_numpy(embedded), torch.tensor(counts))
        return network.decoder(hidden).numpy()


def test_scores_are_those_of_funasr(
    folder: Path, checkpoint: checkpoints.Checkpoint, network: ct_transformer.CtTransformer
) -> None:
    model = oracle.funasr(folder).model
    table = EmbeddingTable(checkpoint)
    for count in (1, 2, 20, 47, 219):
        ids = np.random.default_rng(count).integers(0, 500, (1, count))
        with torch.inference_mode():
            wanted, _ = model.punc_forward(torch.from_numpy(ids), torch.tensor([count]))
        got = scores(network, table.rows(ids[0])[None], [count])
        # Scores are of order 1; the same products are added in another order.
        np.testing.assert_allclose(got, wanted.numpy(), atol=2e-5)


@settings(max_examples=20)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=5), pad=st.integers(0, 9), seed=st.integers(0, 99))
def test_a_row_is_the_same_in_any_batch(
    network: ct_transformer.CtTransformer, counts: list[int], pad: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    embedded = random.standard_normal((len(counts), max(counts) + pad, 32)).astype(np.float32)
    together = scores(network, embedded, counts)
    for row, count in enumerate(counts):
        alone = scores(network, embedded[row : row + 1, :count], [count])
        # The sums of a matrix product are ordered by its shape.
        np.testing.assert_allclose(together[row, :count], alone[0], atol=1e-5)


def test_both_runtimes_say_the_same(network: ct_transformer.CtTransformer) -> None:
    graphs = {"punctuation": network}
    runs = torch_run(graphs), openvino_run(graphs)
    for rows, pieces in ((1, 16), (3, 48), (2, 1)):
        embedded = np.random.default_rng(pieces).standard_normal((rows, pieces, 32)).astype(np.float32)
        counts = np.arange(pieces, pieces - rows, -1).clip(1).astype(np.int64)
        first, second = (run("punctuation", {"embedded": embedded, "counts": counts})["best"] for run in runs)
        assert first.dtype == second.dtype == np.int64
        for row, count in enumerate(counts):
            # Where the two best scores are within rounding of each other, either may win: none of these are.
            np.testing.assert_array_equal(first[row, :count], second[row, :count])


def test_weights_of_another_shape_are_refused(folder: Path, checkpoint: checkpoints.Checkpoint) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["encoder_conf"]["linear_units"] = 65
    with pytest.raises(CheckpointError, match="feed_forward"):
        ct_transformer.build(dataclasses.replace(checkpoint, config=config))


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        (None, "model", "CTTransformerStreaming", "CTTransformerStreaming"),
        (None, "encoder", "SANMVadEncoder", "SANMVadEncoder"),
        (None, "encoder_conf", None, "encoder_conf"),
        (None, "model_conf", [], "punc_list"),
        ("model_conf", "punc_list", "，。", "punc_list"),
        ("model_conf", "punc_list", ["_", 3], "punc_list"),
        ("model_conf", "punc_list", ["_", "，", "？", "。"], "punc_list"),
        ("model_conf", "sentence_end_id", 2, "sentence_end_id"),
        ("model_conf", "sentence_end_id", 9, "sentence_end_id"),
        ("model_conf", "embed_unit", 64, "embed_unit"),
        ("model_conf", "embed_unit", "x", "embed_unit"),
        ("model_conf", "att_unit", 64, "att_unit"),
        ("encoder_conf", "input_layer", "conv2d", "input_layer"),
        ("encoder_conf", "selfattention_layer_type", "selfattn", "selfattention_layer_type"),
    ],
)
def test_a_config_that_is_not_known_is_refused(folder: Path, part: str | None, key: str, value: Any, said: str) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    (config if part is None else config[part])[key] = value
    with pytest.raises(CheckpointError, match=rf"^ct: .*{said}"):
        CtTransformerConfig.from_config(config, "ct")
