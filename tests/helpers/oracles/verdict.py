"""The verdict on a source, worked out anew from the segments of its record, in plain Python."""

from __future__ import annotations

from typing import Any

import pytest


def holds_verdict(record: dict[str, Any]) -> None:
    """Assert that what a record says of its source follows from what it says of its segments.

    Its numbers are rounded: seconds of speech to half a millisecond, by which a mean over n segments moves by n times
    that over all speech at most; scores to half a millionth.
    """
    told = [(entry, entry["speech_s"]) for entry in record["segments"] if entry["scores"] is not None]
    assert all(entry["speech_s"] == 0 for entry in record["segments"] if entry["scores"] is None)
    if not told:
        assert record["scores"] is record["shares"] is record["pooled"] is None
        return
    spoken_s = sum(speech_s for _, speech_s in told)
    if not spoken_s:
        told = [(entry, entry["end"] - entry["start"]) for entry, _ in told]
    weight = sum(each for _, each in told)
    near = 0.0005 * len(told) / weight + 2e-6
    for label, score in record["scores"].items():
        assert score == pytest.approx(sum(entry["scores"][label] * each for entry, each in told) / weight, abs=near)
        share = sum(each for entry, each in told if entry["label"] == label) / weight
        assert record["shares"][label] == pytest.approx(share, abs=near)
    assert record["score"] == max(record["scores"].values()) == record["scores"][record["label"]]
    if len([each for _, each in told if each]) == 1:
        assert {key: record[key] for key in ("label", "score", "scores")} == record["pooled"]
