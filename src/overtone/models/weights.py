"""Published weights: read without executing anything, and put into a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.tensor_file import WRAPPERS, LegacyFileError, TensorFile, TensorFileError
from overtone.system.memory import memory_refusal
from overtone.wording import param

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class PublishedTensor:
    """A tensor of a weights file, not read yet. `floating`: True for floating-point numbers."""

    shape: tuple[int, ...]
    floating: bool
    _load: Callable[[], torch.Tensor]

    def load(self) -> torch.Tensor:
        """Its numbers in `shape`: float32 if they are floating-point, else as they are stored."""
        return self._load().reshape(self.shape)


def read_tensors(checkpoint: Checkpoint) -> Mapping[str, PublishedTensor]:
    """The tensors of the weights file by name.

    Nothing in the file is executed, and only weights are read, not an optimizer's state beside them.
    CheckpointError where the file is broken or holds something else.
    """
    try:
        file = TensorFile(checkpoint.weights)
    except LegacyFileError:
        return _read_legacy(checkpoint)
    except (OSError, TensorFileError) as error:
        raise _broken(checkpoint, error) from error
    return {
        name: PublishedTensor(stored.shape, stored.floating, partial(_load, file, name, checkpoint))
        for name, stored in file.tensors.items()
    }


def _load(file: TensorFile, name: str, checkpoint: Checkpoint) -> torch.Tensor:
    try:
        return torch.from_numpy(file.read(name))
    except (OSError, TensorFileError) as error:
        raise _broken(checkpoint, error) from error


def _read_legacy(checkpoint: Checkpoint) -> Mapping[str, PublishedTensor]:
    """The tensors of a file from before PyTorch 1.6, which can only be read whole."""
    try:
        state = torch.load(checkpoint.weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{checkpoint.name}: {checkpoint.weights.name} is not a plain file of tensors (it is damaged, or holds "
            "objects whose code would have to run; overtone never runs code from a checkpoint). Fetch it again; if it "
            "is a training checkpoint, save its state_dict alone with torch.save({'model': state_dict}, path)."
        ) from error
    except Exception as error:  # torch raises many kinds for a broken file
        if memory_refusal(error) is not None:
            raise
        raise _broken(checkpoint, error) from error
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and wrapper in state:
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise _broken(checkpoint, TensorFileError("it holds no mapping of names to tensors"))
    if any(map(_spread, state.values())):
        raise _broken(checkpoint, TensorFileError("a tensor has more numbers than its storage"))
    return {
        str(name): PublishedTensor(tuple(value.shape), value.is_floating_point(), partial(_plain, value))
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _spread(value: object) -> bool:
    """True for a tensor that repeats numbers: a few bytes would become gigabytes once they are copied."""
    if not isinstance(value, torch.Tensor):
        return False
    return value.numel() * value.element_size() > value.untyped_storage().nbytes()


def _broken(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return CheckpointError(
        f"{checkpoint.name}: {checkpoint.weights.name} is broken, or no plain file of tensors ({reason}); fetch it "
        "again."
    )


def load_tensors_into(
    network: nn.Module,
    tensors: Mapping[str, PublishedTensor],
    checkpoint: Checkpoint,
    *,
    unused: str | None = None,
    strict: bool = True,
) -> None:
    """Put tensors into a network made on the `meta` device, in float32, and make it ready for inference.

    Raises CheckpointError naming the tensors that are missing, unknown or of the wrong shape.

    - `tensors`: by the network's own names.
    - `unused`: a regular expression of names that only training needs.
    - `strict`: False lets any other name pass.
    """
    made = network.state_dict()
    expected = {key: tuple(value.shape) for key, value in made.items()}
    check_tensors(tensors, expected, checkpoint, unused=unused, strict=strict)
    check_floating(tensors, [key for key, value in made.items() if value.is_floating_point()], checkpoint)
    network.load_state_dict({key: tensors[key].load() for key in expected}, assign=True)
    network.requires_grad_(False)
    network.eval()


def check_tensors(
    tensors: Mapping[str, PublishedTensor],
    expected: Mapping[str, tuple[int, ...]],
    checkpoint: Checkpoint,
    *,
    unused: str | None = None,
    strict: bool = True,
    asked_by: str = "config.yaml asks",
) -> None:
    """Raise CheckpointError where tensors are not those that are expected, by name and shape; see `load_tensors_into`.

    `asked_by` is the source of the expectation, for the message.
    """
    where = f"{checkpoint.name}: {checkpoint.weights.name}"
    if missing := [key for key in expected if key not in tensors]:
        raise CheckpointError(
            f"{where} lacks {len(missing)} of {len(expected)} tensors ({first_few(missing)}); it is not the file that "
            "config.yaml describes. Copy the whole published folder again."
        )
    for key, shape in expected.items():
        if (got := tensors[key].shape) != shape:
            raise CheckpointError(f"{where}: tensor {key} has shape {list(got)}, but {asked_by} for {list(shape)}.")
    unknown = [key for key in tensors if key not in expected and not (unused and re.match(unused, key))]
    if strict and unknown:
        raise CheckpointError(
            f"{where} holds {len(unknown)} tensors that this network does not know ({first_few(unknown)}). If they do "
            f"not matter for inference, pass {param('ignore_unknown_tensors', True)}."
        )


def check_floating(tensors: Mapping[str, PublishedTensor], names: Iterable[str], checkpoint: Checkpoint) -> None:
    """Raise CheckpointError where one of these does not hold floating-point numbers."""
    for name in names:
        if not tensors[name].floating:
            raise CheckpointError(
                f"{checkpoint.name}: {checkpoint.weights.name}: tensor {name} holds {tensors[name].load().dtype}, not "
                "floating-point weights."
            )


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Weights in float32, whatever they were stored in; counters stay whole numbers."""
    return tensor.float() if tensor.is_floating_point() else tensor


def first_few(names: Iterable[str]) -> str:
    """The first few of many names, for messages."""
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
