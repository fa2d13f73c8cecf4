"""Arguments of FunASR's calls: those that are heeded, those that change nothing, and those refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from overtone.errors import UsageError
from overtone.models.hub import Hub

IGNORED = frozenset(
    [
        "batch_size",
        "batch_size_s",
        "batch_size_threshold_s",
        "check_latest",
        "data_type",
        "disable_log",
        "disable_pbar",
        "disable_update",
        "input_len",
        "log_level",
        "ncpu",
        "remote_code",
        "return_time_stamps",
        "seed",
        "trust_remote_code",
    ]
)
"""Arguments that change no answer and have nothing to change here: batches are made to fit the memory, and no code of a
model's folder is ever run."""

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "ban_emo_unk": (None, False),
    "bf16": (None, False),
    "data_type": (None, "sound", "text"),
    "fp16": (None, False),
    "input_len": (None,),
    "output_dir": (None,),
    "postprocess_hotword_file": (None,),
    "postprocess_hotwords": (None, "", [], {}),
    "pred_timestamp": (None, False),
    "return_postprocess_hotword_matches": (None, False),
}
"""Arguments that FunASR knows and this does not do, and what they may be all the same."""

_REVISIONS = ("model_revision", "vad_model_revision", "punc_model_revision", "spk_model_revision")

_HUBS: Mapping[str, Hub] = {"hf": "hf", "huggingface": "hf", "ms": "ms", "modelscope": "ms"}


def validate_arguments(given: Mapping[str, Any], where: str, known: Collection[str] = ()) -> dict[str, Any]:
    """The arguments that are known. UsageError for the first that is neither known nor without effect."""
    for name, value in given.items():
        if name in _REVISIONS:
            if value not in (None, "master", "main"):
                raise UsageError(f"{where}({name}={value!r}): the newest is fetched; else give a folder.")
        elif name in known:
            continue
        elif name in _NEUTRAL:
            if value not in _NEUTRAL[name]:
                raise UsageError(f"{where}({name}={value!r}) is not done here; leave it out.")
        elif name not in IGNORED:
            raise UsageError(f"{where}() has no argument {name!r}; overtone.compat says what there is.")
    return {name: given[name] for name in known if name in given}


def hub_of(hub: str) -> Hub:
    """A hub by any of its names."""
    if hub not in _HUBS:
        raise UsageError(f"hub={hub!r} is not known; use 'ms' or 'hf'.")
    return _HUBS[hub]


def device_of(device: str | None) -> str | None:
    """A device as Overtone names it."""
    return "cuda:0" if device == "cuda" else device


def whole_number(name: str, value: Any, *, minimum: int) -> int:
    """A number as an argument. UsageError where it is none, or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise UsageError(f"{name}={value!r}: a whole number from {minimum} on is meant.")
    return value
