"""Every graph of every family through the backend that is the default, converted as a user's is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.oracles import campplus, ct_transformer, fsmn_vad, paraformer, sense_voice
from overtone import conversion
from overtone.backends.openvino import compilation
from overtone.backends.openvino.compiled_model import CompiledModel, save_model
from overtone.backends.openvino.module import openvino
from overtone.engine.loader import load_graphs
from overtone.errors import CheckpointError, ModelError
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.registry import families, family_of
from overtone.options.emotion import Options

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "SenseVoiceSmall": sense_voice.publish,
    **{
        kind: partial(paraformer.publish, kind=kind)
        for kind in ("Paraformer", "BiCifParaformer", "SeacoParaformer", "ParaformerStreaming")
    },
    "FsmnVADStreaming": fsmn_vad.publish,
    "CTTransformer": ct_transformer.publish,
    "CAMPPlus": campplus.publish,
    "Emotion2vec": random_checkpoint.write,
}


def test_no_family_is_left_out() -> None:
    assert set(FAMILIES) == set(families())


@pytest.mark.usefixtures("converted_here")
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_graph_runs_and_each_output_answers_to_its_name(kind: str, tmp_path: Path) -> None:
    checkpoint = checkpoints.read(FAMILIES[kind](tmp_path / "published"), name="model")
    graphs = load_graphs(checkpoint, Options(), "cpu", 1)
    assert graphs.name == "openvino"
    random = torch.Generator().manual_seed(0)
    for name, network in family_of(checkpoint).build(checkpoint).items():
        with torch.inference_mode():
            example = tuple(
                torch.randn(value.shape, generator=random) if value.is_floating_point() else value
                for value in network.example()
            )
            expected = dict(zip(network.outputs, network(*example), strict=True))
        given = {key: value.numpy() for key, value in zip(network.inputs, example, strict=True)}
        found = graphs.run(name, given)
        for output, value in expected.items():
            assert found[output].shape == tuple(value.shape), (name, output)
            # Sums of some hundred products in float32, of values of about 1; whole numbers are exact.
            np.testing.assert_allclose(found[output], value.numpy(), atol=1e-4, rtol=1e-4, err_msg=f"{name} {output}")
    graphs.close()


def model_whose_output_is_fused() -> object:
    """An output that is another view of what it is made from, so that compiling joins the two and their names."""
    opset = openvino().opset13
    given = opset.parameter([-1, 4, 1], np.float32, name="given")
    made = opset.relu(given)
    made.output(0).get_tensor().set_names({"made"})
    flat = opset.squeeze(made, opset.constant(np.array([2])))
    flat.output(0).get_tensor().set_names({"wanted"})
    model = openvino().Model([flat], [given], "fused")
    model.inputs[0].get_tensor().set_names({"given"})
    return model


def test_an_output_is_found_by_each_of_its_names(tmp_path: Path) -> None:
    save_model(model_whose_output_is_fused(), tmp_path / "m.xml")
    compiled = CompiledModel(tmp_path / "m.xml", threads=1)
    found = compiled.run({"given": np.full((2, 4, 1), -1.0, np.float32), "not asked for": np.zeros(1)})
    assert found["wanted"].tolist() == [[0.0] * 4] * 2
    assert all(found[name] is not None for name in compiled.outputs)


def test_one_tensor_may_be_given_twice(tmp_path: Path) -> None:
    opset = openvino().opset13
    given = opset.parameter([2], np.float32, name="given")
    made = opset.relu(given)
    model = openvino().Model([opset.result(made), opset.result(made)], [given], "twice")
    save_model(model, tmp_path / "m.xml")
    assert CompiledModel(tmp_path / "m.xml", threads=1).infer({"given": np.float32([-1, 1])}).tolist() == [0, 1]


def test_an_output_that_gets_lost_is_noticed_before_the_model_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Renaming:
        """A runtime whose compiled models forget a name."""

        def __getattr__(self, name: str) -> object:
            return getattr(core, name)

        def compile_model(self, model: object, *how: object) -> object:
            compiled = core.compile_model(model, *how)
            for output in compiled.outputs:
                output.get_tensor().set_names({"another"})
            return compiled

    core = compilation.openvino_core()
    save_model(model_whose_output_is_fused(), tmp_path / "m.xml")
    monkeypatch.setattr(compilation, "openvino_core", Renaming)
    with pytest.raises(ModelError, match=r"m\.xml: OpenVINO .* loses its output 'wanted'"):
        CompiledModel(tmp_path / "m.xml", threads=1)


@pytest.mark.usefixtures("converted_here")
def test_a_converted_table_of_vectors_that_is_damaged_is_refused(tmp_path: Path) -> None:
    published = checkpoints.read(FAMILIES["CTTransformer"](tmp_path / "published"), name="punc")
    conversion.convert(published, tmp_path / "made", "fp32")
    table = tmp_path / "made" / "embedding.npy"
    whole = table.read_bytes()
    table.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"punc: embedding\.npy is damaged: its checksum is .*; convert"):
        load_graphs(checkpoints.read(tmp_path / "made", name="punc"), Options(), "cpu", 1)
    table.write_bytes(whole)
    assert load_graphs(checkpoints.read(tmp_path / "made", name="punc"), Options(), "cpu", 1).name == "openvino"
