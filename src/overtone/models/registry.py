"""Networks that can be run, found in the folders of their families, and the errors for all others."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Hashable, Mapping
from importlib import import_module
from importlib.util import find_spec

from overtone import models
from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ROLE_NAMES, ModelFamily, Role
from overtone.models.task import Task, Vocabulary
from overtone.options.transcription import TranscribeOptions
from overtone.system.documents import shown

_NOT_RUN: Mapping[str, str] = {
    "ContextualParaformer": ROLE_NAMES["recognizer"],
    "SenseVoiceRWKV": ROLE_NAMES["recognizer"],
    "CTTransformerStreaming": ROLE_NAMES["punctuation"],
    "ERes2NetV2": ROLE_NAMES["speakers"],
    "MonotonicAligner": "aligning speech with a text that is known",
}
"""Purposes of FunASR's other networks, so that each is refused for what it is."""


@functools.cache
def families() -> Mapping[str, ModelFamily]:
    """Families by the classes that they run: every folder of `overtone.models` with a `family.py`."""
    found: dict[str, ModelFamily] = {}
    for folder in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        if folder.ispkg and find_spec(f"{folder.name}.family") is not None:
            for family in import_module(f"{folder.name}.family").FAMILIES:
                found |= dict.fromkeys(family.networks, family)
    return found


def family_of(checkpoint: Checkpoint) -> ModelFamily:
    """The family of a checkpoint's network. CheckpointError for a network that is not known."""
    if checkpoint.kind not in families():
        meant = (role for role, name in ROLE_NAMES.items() if name == _NOT_RUN.get(checkpoint.kind))
        check_role(checkpoint, next(meant, "recognizer"))
    return families()[checkpoint.kind]


def role_of(kind: str) -> Role | None:
    """The role of a network; None for one that is not known."""
    family = families().get(kind)
    return None if family is None else family.role


def check_role(checkpoint: Checkpoint, role: Role) -> None:
    """CheckpointError for a network that is not known, is for something else, or whose texts are broken."""
    found = role_of(checkpoint.kind)
    if found == role:
        family_of(checkpoint).check(checkpoint)
        return
    fitting = {family for family in families().values() if family.role == role}
    # The shortest list first.
    networks = [kind for family in sorted(fitting, key=lambda one: len(one.networks)) for kind in family.networks]
    wanted = f"{ROLE_NAMES[role]} takes {', '.join(networks)}."
    name = ROLE_NAMES[found] if found else _NOT_RUN.get(checkpoint.kind)
    if name is None:
        raise CheckpointError(
            f"{checkpoint.name}: config.yaml names the network {shown(checkpoint.kind)}, which Overtone does not run; "
            f"{wanted}"
        )
    unknown = "" if found else ", a network that Overtone does not run"
    raise CheckpointError(f"{checkpoint.name}: is a model for {name} ({checkpoint.kind}){unknown}; {wanted}")


def task_of(checkpoint: Checkpoint) -> Task:
    """The task of a model: its work on the waveforms of segments.

    Raises CheckpointError for a broken folder, and for a model that is given no segments.
    """
    task = family_of(checkpoint).task(checkpoint)
    if task is None:
        check_role(checkpoint, "recognizer")  # which it is not
    assert task is not None
    return task


def decode_options(kind: str) -> frozenset[str]:
    """Names of the options, of `language`, `itn` and `hotwords`, that a recognizer of this class takes."""
    return families()[kind].decode_options(kind)


def check_decode_params(kind: str, options: TranscribeOptions) -> None:
    """UsageError for what a recognizer of this class cannot be asked."""
    families()[kind].check_decode_params(kind, options)


def decode_params_for(kind: str, options: TranscribeOptions) -> Hashable:
    """Parameters of a batch for a recognizer of this class. UsageError for options that it does not take."""
    check_decode_params(kind, options)
    return families()[kind].decode_params(kind, options)


def vocabulary_of(task: Task) -> Vocabulary:
    """The meaning of a recognizer's tokens."""
    assert task.vocabulary is not None
    return task.vocabulary


def writes_punctuation(checkpoint: Checkpoint) -> bool:
    """True if a recognizer writes punctuation by itself."""
    return family_of(checkpoint).writes_punctuation
