"""Models found as FunASR names them, in the revision that is asked for where it can be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overtone.compat.arguments import Arguments
from overtone.errors import DownloadError
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.hub import Hub

_NEWEST = (None, "", "main", "master")
"""Revisions by which the newest is meant, at one hub or the other."""

_NAMES: Mapping[str, Mapping[Hub, str]] = {
    "ct-punc-c": {
        "hf": "iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch",
        "ms": "iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch",
    },
    "paraformer": {
        "hf": "funasr/paraformer-zh",
        "ms": "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
    },
    "paraformer-en-spk": {"hf": "paraformer-en", "ms": "paraformer-en"},
}
"""FunASR's short names of models that have none here."""

_RENAMED = ("damo/", "iic/")
"""The owner of FunASR's models at ModelScope, as it was called and is called."""


def find_model(model: str, hub: Hub, revision: Any, arguments: Arguments, name: str = "model_revision") -> Checkpoint:
    """A model by folder, hub id, or FunASR's short name, fetched if it is not here yet.

    revision: of a model that is fetched; a folder is what it is. Where the hub does not have it, or cannot be reached
    and has sent another before, that one is taken, with a warning. name: the argument that gave the revision.

    Raises the errors of `overtone.models.checkpoints.find`.
    """
    before, after = _RENAMED
    known = _NAMES[model][hub] if model in _NAMES else model
    known = after + known.removeprefix(before) if known.startswith(before) else known
    if revision in _NEWEST:
        return checkpoints.find(known, hub=hub)
    try:
        return checkpoints.find(known, hub=hub, revision=str(revision))
    except DownloadError as error:
        found = checkpoints.find(known, hub=hub)
        reason = str(error).partition("(")[2].partition(")")[0] or str(error)
        arguments.warn(name, f"{name}={revision!r} of {model} cannot be had ({reason}); {found.folder} is taken.")
        return found
