"""The models beside a recognizer, as `AutoModel` is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overtone.compat.arguments import device_of, hub_of, validate_arguments
from overtone.compat.vad import VadDefaults
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import Role
from overtone.models.hub import Hub
from overtone.models.registry import check_role

AUXILIARY = ("vad_model", "vad_kwargs", "punc_model", "punc_kwargs", "spk_model", "spk_kwargs")
"""Arguments that name them."""


def vad_and_options(
    given: Mapping[str, Any], hub: Hub, max_segment_s: float
) -> tuple[VadDefaults | None, dict[str, Any]]:
    """The VAD's options, None for a recognizer without VAD, and options of the pipeline.

    max_segment_s: seconds of the longest segment that the pipeline has to take, at least. Raises the errors of finding
    a model, and UsageError for arguments that it does not have.
    """
    if given.get("vad_model") is None:
        # FunASR has no use for a speaker model then.
        return None, {"segment": "none", "vad": "silero", "speakers": False, **_punctuation(given, hub)}
    vad, vad_kwargs = _model("vad", given, "vad", hub)
    defaults = VadDefaults(vad, vad_kwargs)
    made = {
        "segment": "vad",
        "vad": str(vad.folder),
        "vad_device": device_of(vad_kwargs.get("device")),
        "max_segment": max(max_segment_s, defaults.max_segment_s),
        "batch_size_s": None,
        "speakers": False,
        **_punctuation(given, hub),
    }
    if given.get("spk_model") is not None:
        speakers, speaker_kwargs = _model("spk", given, "speakers", hub)
        validate_arguments(_without(speaker_kwargs), "spk_kwargs")
        made |= {
            "speakers": True,
            "speaker_model": str(speakers.folder),
            "speaker_device": device_of(speaker_kwargs.get("device")),
        }
    return defaults, made


def _punctuation(given: Mapping[str, Any], hub: Hub) -> dict[str, Any]:
    if given.get("punc_model") is None:
        return {"punctuation": "none"}
    found, kwargs = _model("punc", given, "punctuation", hub)
    validate_arguments(_without(kwargs), "punc_kwargs")
    return {"punctuation": str(found.folder), "punctuation_device": device_of(kwargs.get("device"))}


def _model(name: str, given: Mapping[str, Any], role: Role, hub: Hub) -> tuple[Checkpoint, Mapping[str, Any]]:
    """A model beside the recognizer, and its arguments."""
    kwargs = given.get(f"{name}_kwargs") or {}
    checkpoint = checkpoints.find(given[f"{name}_model"], hub=hub_of(kwargs["hub"]) if "hub" in kwargs else hub)
    check_role(checkpoint, role)
    return checkpoint, kwargs


def _without(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("device", "hub")}
