"""Weights from a checkpoint into the network: checked tensor by tensor, held in memory once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.classifier import Head
from overtone.models.emotion2vec.config import Architecture, scope_prefixes
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.weights import PublishedTensor, check_floating, check_tensors, read_tensors

_TRAINING_ONLY = (
    r"^(modality_encoders\.AUDIO\.decoder\.|_ema|ema\.|shared_decoder\.|recon_proj\.|cls_proj\.|center$|"
    r"num_updates$|.*\.num_batches_tracked$)"
)
"""Tensors that pre-training needs and inference does not."""


def load(checkpoint: Checkpoint, *, strict: bool = True) -> tuple[Emotion2vec, Head | None]:
    """Build the network and its head (None for a checkpoint without classes) from a checkpoint.

    The network is in float32, in inference mode.
    `strict` False lets tensors pass that neither inference nor pre-training knows, as FunASR does.
    Raises CheckpointError naming tensors that are missing, unknown, of the wrong shape or broken.
    """
    if not checkpoint.published:
        raise CheckpointError(
            f"{checkpoint.name}: holds a converted model only, which OpenVINO runs on a CPU; PyTorch and CUDA need the "
            "published checkpoint it was made from."
        )
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    tensors = _unwrapped(read_tensors(checkpoint), checkpoint)
    with torch.device("meta"):
        network = Emotion2vec(architecture)
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    labels = checkpoint.labels()
    if labels is not None:
        expected |= _head_shapes(labels, architecture)
    found = _chosen(tensors, expected, checkpoint, strict=strict)
    head = None if labels is None else _head(found, labels)
    network.load_state_dict(found, assign=True)
    network.requires_grad_(False)
    return network.eval(), head


def read_published_classifier(checkpoint: Checkpoint) -> Head | None:
    """The classifier alone, None for a checkpoint without classes. Errors as for `load`."""
    if (labels := checkpoint.labels()) is None:
        return None
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    tensors = _unwrapped(read_tensors(checkpoint), checkpoint)
    return _head(_chosen(tensors, _head_shapes(labels, architecture), checkpoint, strict=False), labels)


def _head_shapes(labels: Sequence[str], architecture: Architecture) -> dict[str, tuple[int, ...]]:
    return {"proj.weight": (len(labels), architecture.embed_dim), "proj.bias": (len(labels),)}


def _head(tensors: dict[str, torch.Tensor], labels: tuple[str, ...]) -> Head:
    """The classifier, taken out of the tensors."""
    return Head(tensors.pop("proj.weight").numpy().copy(), tensors.pop("proj.bias").numpy().copy(), labels)


def _unwrapped(state: Mapping[str, PublishedTensor], checkpoint: Checkpoint) -> dict[str, PublishedTensor]:
    """Tensors by bare name: prefixes such as `d2v_model.`, which config.yaml's `scope_map` names, taken off."""
    # In this order: what trained on several devices puts its own around the rest.
    prefixes = ["module.", *scope_prefixes(checkpoint.config, checkpoint.name), "d2v_model."]
    tensors = {}
    for key, value in state.items():
        bare = key
        for prefix in prefixes:
            bare = bare.removeprefix(prefix)
        tensors[bare] = value
    return tensors


def _chosen(
    tensors: dict[str, PublishedTensor],
    expected: Mapping[str, tuple[int, ...]],
    checkpoint: Checkpoint,
    *,
    strict: bool,
) -> dict[str, torch.Tensor]:
    for key in expected:
        # data2vec's own release stores this one without the layer dimension.
        if key.endswith("alibi_scale") and key in tensors and len(tensors[key].shape) == 4:
            tensors[key] = replace(tensors[key], shape=(1, *tensors[key].shape))
    asked_by = "config.yaml and the labels ask"
    check_tensors(tensors, expected, checkpoint, unused=_TRAINING_ONLY, strict=strict, asked_by=asked_by)
    check_floating(tensors, expected, checkpoint)
    return {key: tensors[key].load() for key in expected}
