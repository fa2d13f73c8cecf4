"""Options of FunASR's end-point detection, under FunASR's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from overtone.errors import CheckpointError, OvertoneError, UsageError
from overtone.system.documents import shown

FRAME_MS = 10
"""From one frame to the next. `frame_in_ms`; no published model has another."""

SINGLE_UTTERANCE = 0
"""`detect_mode` that ends with the first segment; 1 goes on to the end of the stream."""

SCHEDULE = (
    (10_000, 2000),
    (20_000, 1000),
    (30_000, 800),
    (40_000, 600),
    (50_000, 400),
    (60_000, 200),
    (math.inf, 100),
)
"""FunASR's schedule of end silence: (speech so far at most, silence that then ends it), both in ms."""

_FIXED = {"sample_rate": 16_000, "frame_in_ms": FRAME_MS, "frame_length_ms": 25}
_WITHOUT_EFFECT = frozenset(
    {
        "snr_mode",
        "do_start_point_detection",
        "do_end_point_detection",
        "silence_pdf_num",
        "nn_eval_block_size",
        "dcd_block_size",
        "speech_noise_thresh_low",
        "speech_noise_thresh_high",
        "output_frame_probs",
    }
)
"""Options that FunASR takes and that no segment depends on."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """Options of FunASR's `FsmnVADStreaming`. Times are in ms, levels in dB.

    The first ones are `model_conf` of a checkpoint's `config.yaml`. `chunk_size`, `dynamic_silence` and
    `silence_schedule` belong to FunASR's `generate`: while `dynamic_silence` is on, as it is unless the caller names a
    `max_end_silence_time`, the schedule decides how long a silence ends speech, and 0.5 stands for
    `speech_noise_thres`. It is looked up once every `chunk_size` of audio.
    """

    detect_mode: int = 1
    max_end_silence_time: float = 800
    max_start_silence_time: float = 3000
    window_size_ms: float = 200
    sil_to_speech_time_thres: float = 150
    speech_to_sil_time_thres: float = 150
    speech_2_noise_ratio: float = 1.0
    do_extend: bool = True
    lookback_time_start_point: float = 200
    lookahead_time_end_point: float = 100
    max_single_segment_time: float = 60_000
    snr_thres: float = -100.0
    noise_frame_num_used_for_snr: int = 100
    decibel_thres: float = -100.0
    speech_noise_thres: float = 0.6
    fe_prior_thres: float = 1e-4
    sil_pdf_ids: tuple[int, ...] = (0,)
    chunk_size: int = 60_000
    dynamic_silence: bool = True
    silence_schedule: tuple[tuple[float, float], ...] = SCHEDULE

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None, name: str, **overrides: Any) -> VadOptions:
        """Read `model_conf` of a `config.yaml`; `overrides` have the last word, as FunASR's `vad_kwargs` do.

        Raises CheckpointError, with the checkpoint's name, for a value that cannot be, and UsageError for an override
        that cannot be or is not known. What FunASR has no use for may be given and changes nothing.
        """
        config = {} if config is None else config
        if not isinstance(config, Mapping):
            raise CheckpointError(f"{name}: model_conf in config.yaml is {shown(config)}, not a mapping.")
        for key in overrides:
            if key not in _KNOWN and key not in _WITHOUT_EFFECT and key not in _FIXED:
                raise UsageError(f"{key} is no option of the FSMN-VAD; there are {', '.join(_KNOWN)}.")

        def broken(key: str, value: Any) -> Callable[[str], OvertoneError]:
            return lambda why: CheckpointError(f"{name}: model_conf.{key} in config.yaml is {shown(value)}; {why}.")

        def wrong(key: str, value: Any) -> Callable[[str], OvertoneError]:
            return lambda why: UsageError(f"{key} is {shown(value)}; {why}.")

        stated = {key: _checked(key, value, broken(key, value)) for key, value in config.items()}
        stated |= {key: _checked(key, value, wrong(key, value)) for key, value in overrides.items()}
        stated = {key: value for key, value in stated.items() if key in _KNOWN}
        if "max_end_silence_time" in overrides and "dynamic_silence" not in overrides:
            stated["dynamic_silence"] = False
        return cls(**stated)


_KNOWN = {field.name: field.default for field in fields(VadOptions)}
_LONGEST_MS = 86_400_000
"""A day."""
_LARGEST = 1_000_000
"""Limit of levels, ratios and thresholds, either side of 0."""
_MOST_IDS = 1 << 16


def _checked(key: str, value: Any, complain: Callable[[str], OvertoneError]) -> Any:
    """An option's value as it is kept. Raises the error that `complain` makes of its fault."""
    if key in _FIXED:
        if not _is_number(value) or value != _FIXED[key]:
            raise complain(f"only {_FIXED[key]} is known")
    elif key in ("detect_mode", "do_extend", "dynamic_silence"):
        if value not in (0, 1):
            raise complain("0 and 1, or false and true, are known")
    elif key == "sil_pdf_ids":
        if not _is_list(value) or not all(type(one) is int and 0 <= one < _MOST_IDS for one in value):
            raise complain("a list of ids is meant")
        if len(set(value)) != len(value):
            raise complain("each id is meant once")
        return tuple(value)
    elif key == "silence_schedule":
        if not _is_list(value) or not all(_is_list(pair) and len(pair) == 2 and _is_step(*pair) for pair in value):
            raise complain("a list of pairs of times in ms is meant")
        return tuple(tuple(pair) for pair in value)
    elif key in _KNOWN:
        if not _is_number(value) or not abs(value) < math.inf:
            raise complain("a number is meant")
        _check_range(key, value, complain)
        return int(value) if key in _WHOLE else value
    return value


_WHOLE = ("noise_frame_num_used_for_snr", "chunk_size")
_ANY = ("speech_2_noise_ratio", "snr_thres", "decibel_thres", "speech_noise_thres", "fe_prior_thres")


def _check_range(key: str, value: float, complain: Callable[[str], OvertoneError]) -> None:
    if key in _WHOLE and not (1 <= value <= _LONGEST_MS and value == int(value)):
        raise complain("a whole number above 0 is meant")
    lowest = FRAME_MS if key in ("window_size_ms", "max_single_segment_time") else 0
    if key in _ANY and not -_LARGEST <= value <= _LARGEST:
        raise complain(f"{-_LARGEST} to {_LARGEST} is possible")
    if key not in _ANY and not lowest <= value <= _LONGEST_MS:
        raise complain(f"{lowest} ms to a day is possible")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_step(speech: Any, silence: Any) -> bool:
    """True for a length of speech, which may have no end, and the silence that then ends it."""
    if not _is_number(speech) or not _is_number(silence):
        return False
    return bool(speech == math.inf or 0 <= speech <= _LONGEST_MS) and bool(0 <= silence <= _LONGEST_MS)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0
