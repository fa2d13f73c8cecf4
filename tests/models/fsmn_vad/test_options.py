from __future__ import annotations

from typing import Any

import pytest
import yaml

from helpers.oracles.fsmn_vad import CONFIG, SIZES
from overtone.errors import CheckpointError, UsageError
from overtone.models.fsmn_vad.options import VadOptions


def published() -> dict[str, Any]:
    conf: dict[str, Any] = yaml.safe_load(CONFIG.format(**SIZES["published"]))["model_conf"]
    return conf


def test_what_is_published_is_the_default() -> None:
    assert VadOptions.from_config(published(), "vad") == VadOptions()


def test_a_keyword_has_the_last_word() -> None:
    options = VadOptions.from_config(published(), "vad", max_single_segment_time=30_000, sil_pdf_ids=[0, 1])
    assert (options.max_single_segment_time, options.sil_pdf_ids) == (30_000, (0, 1))
    assert options.dynamic_silence
    hash(options)


def test_who_names_an_end_silence_gets_it() -> None:
    """FunASR's schedule would take its place otherwise."""
    assert not VadOptions.from_config(published(), "vad", max_end_silence_time=800).dynamic_silence
    assert VadOptions.from_config(published(), "vad", max_end_silence_time=800, dynamic_silence=True).dynamic_silence
    assert VadOptions.from_config({**published(), "max_end_silence_time": 500}, "vad").dynamic_silence


def test_what_changes_nothing_may_be_said() -> None:
    assert VadOptions.from_config({"trained_by": "someone"}, "vad", snr_mode=1, sample_rate=16_000) == VadOptions()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_end_silence_time", "800"),
        ("max_end_silence_time", -1),
        ("max_end_silence_time", True),
        ("max_end_silence_time", None),
        ("max_single_segment_time", float("nan")),
        ("max_single_segment_time", 0),
        ("window_size_ms", 5),
        ("window_size_ms", 10**12),
        ("detect_mode", 2),
        ("do_extend", "yes"),
        ("snr_thres", "low"),
        ("noise_frame_num_used_for_snr", 0),
        ("chunk_size", 1.5),
        ("sil_pdf_ids", 0),
        ("sil_pdf_ids", [-1]),
        ("silence_schedule", [[1, 2, 3]]),
        ("silence_schedule", 5),
        ("sample_rate", 8000),
        ("frame_length_ms", 32),
    ],
)
def test_what_cannot_be_is_named(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^vad: model_conf\.{key} in config\.yaml is "):
        VadOptions.from_config({key: value}, "vad")
    with pytest.raises(UsageError, match=f"^{key} is "):
        VadOptions.from_config({}, "vad", **{key: value})


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(UsageError, match=r"max_end_silence is no option of the FSMN-VAD.*max_end_silence_time"):
        VadOptions.from_config({}, "vad", max_end_silence=800)
