"""The models beside a recognizer, as `AutoModel` is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overtone.compat.arguments import Arguments, hub_of
from overtone.compat.devices import usable_device
from overtone.compat.models import find_model
from overtone.compat.vad import VadDefaults
from overtone.models.family import Role
from overtone.models.hub import Hub
from overtone.models.registry import check_role

_KINDS = ("vad", "punc", "spk")

AUXILIARY = tuple(f"{kind}_{part}" for kind in _KINDS for part in ("model", "kwargs", "model_revision"))
"""Arguments that name them."""


def vad_and_options(
    given: Mapping[str, Any], hub: Hub, max_segment_s: float, arguments: Arguments
) -> tuple[VadDefaults | None, dict[str, Any]]:
    """The VAD's options, None for a recognizer without VAD, and options of the pipeline.

    max_segment_s: seconds of the longest segment that the pipeline has to take, at least. Raises the errors of finding
    a model, and UsageError for arguments that it does not have.
    """
    _warn_of_idle(given, arguments)
    if given.get("vad_model") is None:
        # FunASR has no use for a speaker model then.
        return None, {"segment": "none", "vad": "none", "speakers": False, **_punctuation(given, hub, arguments)}
    vad = _Auxiliary("vad", given, "vad", hub, arguments)
    defaults = VadDefaults(vad.checkpoint, vad.kwargs, arguments)
    made = {
        "segment": "vad",
        "vad": vad.folder,
        "vad_device": vad.device,
        "max_segment": max(max_segment_s, defaults.max_segment_s),
        "batch_size_s": None,
        "speakers": False,
        **_punctuation(given, hub, arguments),
    }
    if given.get("spk_model") is not None:
        speakers = _Auxiliary("spk", given, "speakers", hub, arguments)
        arguments.heeded(speakers.kwargs, "spk_kwargs", checkpoint=speakers.checkpoint)
        made |= {"speakers": True, "speaker_model": speakers.folder, "speaker_device": speakers.device}
    return defaults, made


def _warn_of_idle(given: Mapping[str, Any], arguments: Arguments) -> None:
    """Warn of a speaker model without VAD, and of arguments for models that are not there."""
    if given.get("spk_model") is not None and given.get("vad_model") is None:
        arguments.warn("spk_model", "AutoModel(spk_model=…) has no effect without vad_model, as in FunASR.")
    for kind in _KINDS:
        if given.get(f"{kind}_model") is None:
            for name in (f"{kind}_kwargs", f"{kind}_model_revision"):
                if given.get(name):
                    arguments.warn(name, f"AutoModel({name}=…) has no effect without {kind}_model, as in FunASR.")


def _punctuation(given: Mapping[str, Any], hub: Hub, arguments: Arguments) -> dict[str, Any]:
    if given.get("punc_model") is None:
        return {"punctuation": "none"}
    found = _Auxiliary("punc", given, "punctuation", hub, arguments)
    arguments.heeded(found.kwargs, "punc_kwargs", checkpoint=found.checkpoint)
    return {"punctuation": found.folder, "punctuation_device": found.device}


class _Auxiliary:
    """A model beside the recognizer: its checkpoint, its folder, its device, and its other arguments."""

    def __init__(self, kind: str, given: Mapping[str, Any], role: Role, hub: Hub, arguments: Arguments) -> None:
        where, revision = f"{kind}_kwargs", f"{kind}_model_revision"
        self.kwargs = dict(given.get(where) or {})
        hub = hub_of(self.kwargs.pop("hub")) if "hub" in self.kwargs else hub
        self.device = usable_device(self.kwargs.pop("device", None), arguments, where)
        self.checkpoint = find_model(given[f"{kind}_model"], hub, given.get(revision), arguments, revision)
        self.folder = str(self.checkpoint.folder)
        check_role(self.checkpoint, role)
