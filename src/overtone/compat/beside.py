"""The models that go with a recogniser, as `AutoModel` is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overtone.compat.arguments import device_of, hub_of, validate_arguments
from overtone.compat.vad import SpeechOptions
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import Role
from overtone.models.hub import Hub
from overtone.models.registry import check_role

NAMES = ("vad_model", "vad_kwargs", "punc_model", "punc_kwargs", "spk_model", "spk_kwargs")
"""Arguments that name them."""


def vad_and_options(
    given: Mapping[str, Any], hub: Hub, longest_s: float
) -> tuple[SpeechOptions | None, dict[str, Any]]:
    """How speech is found, and options of the pipeline. longest_s: of a segment, at least.

    Raises the errors of finding a model, and UsageError for what its arguments may not be.
    """
    if given.get("vad_model") is None:
        # FunASR has no use for a speaker model then.
        return None, {"segment": "none", "vad": "silero", "speakers": False, **_punctuation(given, hub)}
    vad, of_vad = _model("vad", given, "vad", hub)
    speech = SpeechOptions(vad, of_vad)
    longest_s = max(longest_s, speech.longest_s)
    made = {
        "segment": "vad",
        "vad": str(vad.folder),
        "vad_device": device_of(of_vad.get("device")),
        "max_segment": longest_s,
        "batch_size_s": None,
        "speakers": False,
        **_punctuation(given, hub),
    }
    if given.get("spk_model") is not None:
        speakers, of_speakers = _model("spk", given, "speakers", hub)
        validate_arguments(_without(of_speakers), "spk_kwargs")
        made |= {
            "speakers": True,
            "speaker_model": str(speakers.folder),
            "speaker_device": device_of(of_speakers.get("device")),
        }
    return speech, made


def _punctuation(given: Mapping[str, Any], hub: Hub) -> dict[str, Any]:
    if given.get("punc_model") is None:
        return {"punctuation": "none"}
    found, kwargs = _model("punc", given, "punctuation", hub)
    validate_arguments(_without(kwargs), "punc_kwargs")
    return {"punctuation": str(found.folder), "punctuation_device": device_of(kwargs.get("device"))}


def _model(name: str, given: Mapping[str, Any], role: Role, hub: Hub) -> tuple[Checkpoint, Mapping[str, Any]]:
    """A model that goes with the recogniser, and its own arguments."""
    kwargs = given.get(f"{name}_kwargs") or {}
    checkpoint = checkpoints.find(given[f"{name}_model"], hub=hub_of(kwargs["hub"]) if "hub" in kwargs else hub)
    check_role(checkpoint, role)
    return checkpoint, kwargs


def _without(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("device", "hub")}
