"""The FSMN beside FunASR's own, block by block, and what a broken folder of it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from helpers.oracles import fsmn_vad as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.fsmn_vad.network import FsmnScores, build
from overtone.models.graph import Graph

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")


@pytest.fixture(scope="module", params=["small", "published"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("vad") / "fsmn-vad", size=request.param)


def graph_of(folder: Path, **changes: Any) -> Graph:
    """The graph of a folder whose configuration is changed; keys are `section__key` or `key`."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        if inner:
            config[section][inner] = value
        else:
            config[key] = value
    checkpoint = checkpoints.Checkpoint("fsmn-vad", folder, config, None, folder / "model.pt")
    return build(checkpoint)["scores"]


def test_probabilities_are_those_of_funasr_in_blocks_of_any_length(folder: Path) -> None:
    graph = graph_of(folder)
    theirs = oracle.funasr(folder).model
    loudness = 1.5 * torch.sin(torch.arange(333) / 15)[None, :, None]
    features = torch.randn(1, 333, 400, generator=torch.Generator().manual_seed(1)) + loudness
    memory = torch.zeros(graph.inputs["memory"])
    cache: dict[str, torch.Tensor] = {}
    start = 0
    with torch.inference_mode():
        whole = theirs.encoder(features, None)[0, :, 0]
        for length in (1, 2, 30, 100, 200):
            some = features[:, start : start + length]
            silence, memory = graph(some, memory)
            want = theirs.encoder(some, cache)[0, :, 0]
            # The same matrix products in the same order: what differs is how a softmax is added up.
            torch.testing.assert_close(silence[0], want, atol=1e-6, rtol=0)
            torch.testing.assert_close(silence[0], whole[start : start + length], atol=2e-6, rtol=0)
            start += length
    assert 0.1 < float(whole.std()) < 0.5


def test_openvino_and_pytorch_say_the_same(folder: Path) -> None:
    graphs = build(checkpoints.read(folder, name="fsmn-vad"))
    features = np.random.default_rng(2).standard_normal((1, 100, 400)).astype(np.float32)
    memory = np.random.default_rng(3).standard_normal(graphs["scores"].inputs["memory"]).astype(np.float32)
    inputs = {"features": features, "memory": memory}
    found, want = openvino_run(graphs)("scores", inputs), torch_run(graphs)("scores", inputs)
    for name in ("silence", "carried"):
        assert found[name].shape == want[name].shape
        # Sums of up to 400 products in float32, and values of about 10.
        np.testing.assert_allclose(found[name], want[name], atol=1e-5)


def test_weights_that_are_whole_numbers_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "c")
    state = torch.load(tmp_path / "c" / "model.pt", weights_only=True)
    name, tensor = next(iter(state.items()))
    torch.save(state | {name: tensor.long()}, tmp_path / "c" / "model.pt")
    with pytest.raises(CheckpointError, match=f"tensor {name} holds torch.int64, not floating-point"):
        build(checkpoints.read(tmp_path / "c", name="c"))


def test_a_memory_may_leave_frames_out(folder: Path, tmp_path: Path) -> None:
    graph = graph_of(folder, encoder_conf__lstride=2)
    layers, _, dim, frames = graph.inputs["memory"]
    features = torch.randn(1, 90, 400, generator=torch.Generator().manual_seed(4))
    memory = torch.zeros(layers, 1, dim, frames)
    with torch.inference_mode():
        whole, _ = graph(features, memory)
        first, memory = graph(features[:, :31], memory)
        second, _ = graph(features[:, 31:], memory)
    # Only products of other numbers of rows.
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, atol=2e-6, rtol=0)


def test_several_outputs_may_stand_for_silence(folder: Path) -> None:
    graph = graph_of(folder, model_conf__sil_pdf_ids=[0, 3, 5])
    assert isinstance(graph, FsmnScores)
    features = torch.randn(1, 5, 400)
    memory = torch.zeros(graph.inputs["memory"])
    with torch.inference_mode():
        logits, _ = graph.encoder(features, memory)
        silence, _ = graph(features, memory)
    torch.testing.assert_close(silence, torch.softmax(logits, dim=2)[:, :, [0, 3, 5]].sum(dim=2))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "Paraformer"}, "model: 'Paraformer'"),
        ({"encoder": "DFSMN"}, "encoder: 'DFSMN'"),
        ({"encoder_conf": None}, "encoder_conf"),
        ({"encoder_conf__rorder": 2}, "encoder_conf.rorder"),
        ({"encoder_conf__use_softmax": False}, "encoder_conf.use_softmax"),
        ({"encoder_conf__proj_dim": "many"}, "encoder_conf.proj_dim"),
        ({"encoder_conf__fsmn_layers": 10**9}, "encoder_conf.fsmn_layers"),
        ({"encoder_conf__lorder": 1}, "encoder_conf.lorder"),
        ({"encoder_conf__output_dim": None}, "encoder_conf.output_dim"),
        ({"encoder_conf__linear_dim": 23}, "shape"),
        ({"encoder_conf__fsmn_layers": 7}, "lacks"),
        ({"encoder_conf__fsmn_layers": 1}, "does not know"),
        ({"model_conf__sil_pdf_ids": [0, 248]}, "sil_pdf_ids"),
        ({"model_conf__sil_pdf_ids": []}, "sil_pdf_ids"),
        ({"model_conf__frame_in_ms": 20}, "model_conf.frame_in_ms"),
        ({"model_conf": ["x"]}, "model_conf"),
    ],
)
def test_what_is_not_implemented_is_named(folder: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=named) as caught:
        graph_of(folder, **changes)
    assert "fsmn-vad" in str(caught.value)
