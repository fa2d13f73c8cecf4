"""Published weights: read without executing anything, and put into a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from overtone.checkpoints import Checkpoint
from overtone.errors import CheckpointError
from overtone.memory import memory_refusal

_SHOWN = 4


def read_tensors(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The mapping that the weights file holds. Nothing in it is executed: `weights_only` and safetensors."""
    path = checkpoint.weights
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # Not mapped: tensors are read one by one, so nothing is held twice, and a file that is replaced while it is in
        # use cannot take the process down.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{checkpoint.name}: {path.name} is not a plain file of tensors (it is damaged, or holds objects whose "
            "code would have to run; overtone never runs code from a checkpoint). Fetch it again; if it is a training "
            "checkpoint, save its state_dict alone with torch.save({'model': state_dict}, path)."
        ) from error
    except Exception as error:  # torch and safetensors raise many kinds for a broken file
        if memory_refusal(error) is not None:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"{checkpoint.name}: {path.name} is broken ({reason}); fetch it again.") from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{checkpoint.name}: {path.name} holds no mapping of names to tensors.")
    return state


def fill(
    network: nn.Module,
    tensors: Mapping[str, Any],
    checkpoint: Checkpoint,
    *,
    unused: str | None = None,
    strict: bool = True,
) -> None:
    """Put tensors into a network made on the `meta` device, in float32, and make it ready for inference.

    tensors: by the network's own names. unused: a regular expression of names that only training needs. `strict` False
    lets any other name pass. Raises CheckpointError naming what is missing, unknown or of the wrong shape.
    """
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    check_tensors(tensors, expected, checkpoint, unused=unused, strict=strict)
    network.load_state_dict({key: _plain(tensors[key]) for key in expected}, assign=True)
    network.requires_grad_(False)
    network.eval()


def check_tensors(
    tensors: Mapping[str, Any],
    expected: Mapping[str, tuple[int, ...]],
    checkpoint: Checkpoint,
    *,
    unused: str | None = None,
    strict: bool = True,
    asked_by: str = "config.yaml asks",
) -> None:
    """CheckpointError where tensors are not those that are expected, by name and shape; see `fill`.

    asked_by: what says which are expected, for the message.
    """
    where = f"{checkpoint.name}: {checkpoint.weights.name}"
    if missing := [key for key in expected if not isinstance(tensors.get(key), torch.Tensor)]:
        raise CheckpointError(
            f"{where} lacks {len(missing)} of {len(expected)} tensors ({some(missing)}); it is not the file that "
            "config.yaml describes. Copy the whole published folder again."
        )
    for key, shape in expected.items():
        if (got := tuple(tensors[key].shape)) != shape:
            raise CheckpointError(f"{where}: tensor {key} has shape {list(got)}, but {asked_by} for {list(shape)}.")
    unknown = [key for key in tensors if key not in expected and not (unused and re.match(unused, key))]
    if strict and unknown:
        raise CheckpointError(
            f"{where} holds {len(unknown)} tensors that this network does not know ({some(unknown)}). If they do not "
            "matter for inference, pass --ignore-unknown-tensors."
        )


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Weights in float32, whatever they were stored in; counters stay whole numbers."""
    return tensor.float() if tensor.is_floating_point() else tensor


def some(names: Iterable[str]) -> str:
    """The first few of many names, for messages."""
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
