"""The SANM encoder against FunASR's classes with the same random weights, alone and in batches, in both runtimes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from helpers.oracles.run import openvino_run, torch_run
from overtone.conversion.export import exported
from overtone.errors import CheckpointError
from overtone.models.graph import Graph
from overtone.models.layers.sanm import FsmnMemory, SanmEncoder, sinusoids, valid_frames
from overtone.models.layers.sanm_config import SanmConfig

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("funasr.models.sanm.encoder", reason="funasr, the oracle, is not installed")
    from funasr.models.sanm.encoder import SANMEncoder
    from funasr.models.sense_voice.model import SenseVoiceEncoderSmall

TOLERANCE = 2e-5
"""Absolute, on values of the order of 1 to 4. What is seen is under 4e-6: float rounding of other kernels."""

INPUT = 24
COMMON: dict[str, Any] = {
    "output_size": 32,
    "attention_heads": 4,
    "linear_units": 64,
    "num_blocks": 3,
    "kernel_size": 11,
    "normalize_before": True,
    "dropout_rate": 0.1,
}
VARIANTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "paraformer": ("SANMEncoder", {"input_layer": "pe"}, INPUT),
    "shifted": ("SANMEncoder", {"input_layer": "pe", "sanm_shfit": 3}, INPUT),
    "even kernel": ("SANMEncoder", {"input_layer": "pe", "kernel_size": 8}, INPUT),
    "one block": ("SANMEncoder", {"input_layer": "pe", "num_blocks": 1}, INPUT),
    "without positions": ("SANMEncoder", {"input_layer": None}, 32),
    "same size": ("SANMEncoder", {"input_layer": "pe"}, 32),
    "sense voice": ("SenseVoiceEncoderSmall", {"tp_blocks": 2}, INPUT),
    "sense voice, no second stack": ("SenseVoiceEncoderSmall", {}, INPUT),
}


class Whole(Graph):
    """The encoder as a graph of its own."""

    outputs = ("hidden",)

    def __init__(self, encoder: SanmEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.inputs = {"features": (-1, -1, encoder.config.input_size), "counts": (-1,)}

    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.encoder(features, counts),)

    def example(self) -> tuple[torch.Tensor, ...]:
        return torch.zeros(2, 9, self.encoder.config.input_size), torch.tensor([9, 5])


class Remembering(Graph):
    """A memory as a graph of its own."""

    outputs = ("memory",)

    def __init__(self, memory: FsmnMemory) -> None:
        super().__init__()
        self.memory = memory
        self.inputs = {"values": (-1, -1, memory.in_channels), "counts": (-1,)}

    def forward(self, values: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.memory(values, valid_frames(counts, values.shape[1])),)

    def example(self) -> tuple[torch.Tensor, ...]:
        return torch.zeros(2, 9, self.memory.in_channels), torch.tensor([9, 5])


def pair(kind: str, conf: Mapping[str, Any], size: int) -> tuple[Any, Whole]:
    """FunASR's encoder and ours, with the same weights."""
    torch.manual_seed(0)
    theirs = {"SANMEncoder": SANMEncoder, "SenseVoiceEncoderSmall": SenseVoiceEncoderSmall}[kind](size, **conf).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    ours = SanmEncoder(SanmConfig.from_config(conf, size, "model", kind=kind)).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, Whole(ours)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_funasrs(variant: str) -> None:
    kind, extra, size = VARIANTS[variant]
    theirs, ours = pair(kind, COMMON | extra, size)
    runs = {"torch": torch_run({"encoder": ours}), "openvino": openvino_run({"encoder": ours})}
    for counts in ([1], [9], [57, 1, 30], [120, 300]):
        features, lengths = torch.randn(len(counts), max(counts), size), torch.tensor(counts)
        with torch.inference_mode():
            expected = theirs(features.clone(), lengths)[0].numpy()
        inputs = {"features": features.numpy(), "counts": lengths.numpy()}
        for name, run in runs.items():
            hidden = run("encoder", inputs)["hidden"]
            for row, count in enumerate(counts):
                np.testing.assert_allclose(
                    hidden[row, :count], expected[row, :count], atol=TOLERANCE, rtol=0, err_msg=name
                )


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_padding_changes_nothing(runtime: str) -> None:
    _, ours = pair("SANMEncoder", COMMON | {"input_layer": "pe"}, INPUT)
    run = {"torch": torch_run, "openvino": openvino_run}[runtime]({"encoder": ours})
    random = np.random.default_rng(1)
    counts = np.array([3, 41, 80, 17], np.int64)
    # What is in the padding is as large as may be: it must not be seen.
    features = 1e3 * random.standard_normal((4, 100, INPUT)).astype(np.float32)
    for row, count in zip(features, counts, strict=True):
        row[:count] = random.standard_normal((count, INPUT))
    together = run("encoder", {"features": features, "counts": counts})["hidden"]
    for row, count in enumerate(counts):
        alone = {"features": features[row : row + 1, :count].copy(), "counts": counts[row : row + 1]}
        np.testing.assert_allclose(together[row, :count], run("encoder", alone)["hidden"][0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize(("kernel", "shift"), [(11, 0), (11, 5), (8, 0), (8, 3), (1, 0), (3, 0)])
def test_the_memory_is_a_weighted_sum_of_near_frames_and_the_frame_itself(
    runtime: str, kernel: int, shift: int
) -> None:
    torch.manual_seed(2)
    memory = FsmnMemory(16, kernel, shift)
    values = torch.randn(2, 20, 16)
    counts, before = [20, 13], (kernel - 1) // 2 + shift
    weight = memory.weight[:, 0].detach()
    padded = values.clone()
    padded[1, counts[1] :] = torch.nan  # never to be seen
    run = {"torch": torch_run, "openvino": openvino_run}[runtime]({"memory": Remembering(memory)})
    found = run("memory", {"values": padded.numpy(), "counts": np.array(counts)})["memory"]
    for row, count in enumerate(counts):
        for frame in range(count):
            expected = values[row, frame].clone()
            for tap in range(kernel):
                if 0 <= (near := frame - before + tap) < count:
                    expected += weight[:, tap] * values[row, near]
            np.testing.assert_allclose(found[row, frame], expected.numpy(), atol=1e-5, rtol=0)


def test_a_memory_is_one_convolution_that_pads_by_itself() -> None:
    _, ours = pair("SANMEncoder", COMMON | {"input_layer": "pe"}, INPUT)
    kinds = [operation.get_type_name() for operation in exported(ours).get_ops()]
    layers = COMMON["num_blocks"]
    assert kinds.count("GroupConvolution") == layers
    assert "Pad" not in kinds
    assert kinds.count("Select") == layers + 1  # of each memory, and attention's mask


def test_positions_begin_at_one() -> None:
    table = sinusoids(5000, 8).numpy()
    rates = 10_000.0 ** (-np.arange(4) / 3)
    angles = np.arange(1, 5001)[:, None] * rates
    # float32 keeps angles of up to 5000 to about 2e-4.
    np.testing.assert_allclose(table, np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=5e-4)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("normalize_before", False),
        ("concat_after", True),
        ("positionwise_layer_type", "conv1d"),
        ("selfattention_layer_type", "selfattn"),
        ("interctc_layer_idx", [1]),
        ("lora_list", ["q"]),
        ("input_layer", "conv2d"),
        ("output_size", "large"),
        ("attention_heads", 5),
        ("num_blocks", 0),
        ("kernel_size", True),
        ("sanm_shfit", 6),
        ("input_layer", None),
    ],
)
def test_what_it_cannot_do_is_refused(key: str, value: object) -> None:
    name = "input_size" if (key, value) == ("input_layer", None) else key
    with pytest.raises(CheckpointError, match=rf"^model: .*{name}"):
        SanmConfig.from_config({**COMMON, "input_layer": "pe", key: value}, INPUT, "model")


def test_unknown_encoders_and_odd_sizes_are_refused() -> None:
    with pytest.raises(CheckpointError, match="'ConformerEncoder'"):
        SanmConfig.from_config(COMMON, INPUT, "model", kind="ConformerEncoder")
    with pytest.raises(CheckpointError, match="not a mapping"):
        SanmConfig.from_config([], INPUT, "model")  # type: ignore[arg-type]  # what a broken config holds
    with pytest.raises(CheckpointError, match="input_size 25"):
        SanmConfig.from_config({**COMMON, "input_layer": "pe"}, 25, "model")
