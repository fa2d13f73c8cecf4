from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import CheckpointError
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.config import Architecture, parse_conv_spec

CONFIG = random_checkpoint.config(random_checkpoint.BASE)


def read(config: Any) -> Architecture:
    return Architecture.from_config(config, "here")


def test_the_published_base_is_read() -> None:
    shape = read(CONFIG)
    assert (shape.embed_dim, shape.num_heads, shape.prenet_depth, shape.depth) == (768, 12, 4, 8)
    assert (shape.hop_samples, shape.receptive_samples, shape.conv_pos_kernel) == (320, 400, 19)


@given(st.integers(0, 10**7))
def test_frames_and_samples_agree(samples: int) -> None:
    shape = read(CONFIG)
    length = samples
    for _, kernel, stride in shape.conv_layers:  # layer by layer, as the convolutions do it
        length = max(0, (length - kernel) // stride + 1)
    frames = shape.frames_of(samples)
    assert frames == length
    assert shape.samples_for(frames) <= samples or frames == 0
    assert shape.frames_of(shape.samples_for(frames + 1)) == frames + 1


@pytest.mark.parametrize(
    "spec",
    [
        "__import__('os').system('true')",
        "[(512, 10, 5)] * 10**9",
        "[(512, 10, 5)] + [x]",
        "[(512, 10)]",
        "[(-1, 2, 3)]",
        "[(True, 2, 3)]",
        "[]",
        "(1, 2, 3)",
        "[(1, 2, 3)",
        "[" * 2000,
        "[(1,2,3)] * 60 + [(1,2,3)] * 60",
        "",
    ],
)
def test_a_layer_list_is_never_evaluated(spec: str) -> None:
    with pytest.raises(CheckpointError, match="feature_encoder_spec"):
        parse_conv_spec(spec, "here")


def test_layer_lists_are_read_as_written() -> None:
    assert parse_conv_spec("[(512, 10, 5)] + [(512, 3, 2)] * 2 + [(512,2,2)]", "x") == (
        (512, 10, 5),
        (512, 3, 2),
        (512, 3, 2),
        (512, 2, 2),
    )


BROKEN: dict[str, tuple[str, Any, str]] = {
    "another model": ("model", "Paraformer", "Paraformer"),
    "no settings": ("model_conf", None, "model_conf"),
    "no audio": ("model_conf.modalities", {}, "audio"),
    "a width that is text": ("model_conf.embed_dim", "768", "embed_dim"),
    "a width that is true": ("model_conf.embed_dim", True, "embed_dim"),
    "a monstrous width": ("model_conf.embed_dim", 10**9, "embed_dim"),
    "heads that do not divide": ("model_conf.num_heads", 7, "num_heads"),
    "an epsilon of nothing": ("model_conf.norm_eps", 0.0, "norm_eps"),
    "an epsilon that is no number": ("model_conf.norm_eps", float("nan"), "norm_eps"),
    "an epsilon that is text": ("model_conf.norm_eps", "1e-05", "norm_eps"),
    "a bias without end": ("model_conf.modalities.audio.alibi_scale", float("inf"), "alibi_scale"),
    "no depth": ("model_conf.depth", None, "depth"),
    "group norm": ("model_conf.modalities.audio.extractor_mode", "default", "extractor_mode"),
    "a learned bias": ("model_conf.modalities.audio.learned_alibi", True, "learned_alibi"),
    "half the heads biased": ("model_conf.modalities.audio.num_alibi_heads", 6, "num_alibi_heads"),
    "no ratio": ("model_conf.mlp_ratio", -1.0, "mlp_ratio"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_config_that_cannot_be_is_refused_by_name(case: str) -> None:
    path, value, word = BROKEN[case]
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(CheckpointError, match=word) as caught:
        read(config)
    assert "here" in str(caught.value)
