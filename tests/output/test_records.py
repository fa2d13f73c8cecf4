"""The JSON record: its keys, its strictness, and that pieces and whole are the same."""

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.results import LABELS, failed, frames, result, segment
from overtone.output.records import json_chunks, to_json, to_record
from overtone.results import Timings


def _line(value, granularity="segment"):
    return "".join(json_chunks(value, granularity))


def _strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_keys_and_their_order():
    with frames(2) as some:
        full = result(id="utt1", channel=0, channels=2, warnings=("clipped",), frames=some)
        keys = list(to_record(full, granularity="frame"))
    who, answer = ["source", "id", "channel", "channels"], ["duration", "label", "score", "scores"]
    answer += ["shares", "speech_s", "pooled"]
    run = ["model", "precision", "device", "backend", "timings"]
    assert keys == [*who, *answer, "segments", "frames", *run, "warnings", "error"]
    assert list(to_record(result(), granularity="utterance")) == ["source", *answer, *run, "error"]
    assert list(to_record(result(), granularity="segment")) == ["source", *answer, "segments", *run, "error"]


def test_values():
    record = to_record(result(duration=158.20449, score=0.61234567), granularity="segment")
    assert record["duration"] == 158.204
    assert record["score"] == 0.612346
    silence = {"speech_s": 0.0, "label": "silence", "score": None, "scores": None}
    assert record["segments"][1] == {"start": 1.0, "end": 2.0, **silence}
    assert record["segments"][0]["speech_s"] == 1.0
    assert (record["shares"], record["speech_s"]) == ({"angry": 0.5, "happy": 0.5, "neutral": 0.0}, 2.0)
    pooled = {"label": "happy", "score": 0.5, "scores": {"angry": 0.4, "happy": 0.5, "neutral": 0.1}}
    assert record["pooled"] == pooled
    few = to_record(result(shares={"angry": 1 / 3}, speech_s=1 / 3), granularity="utterance")
    assert (few["shares"], few["speech_s"]) == ({"angry": 0.333333}, 0.333)
    assert record["segments"][0]["label"] == "angry"
    assert record["error"] is None
    assert record["timings"]["total_s"] == 0.25
    assert "notes" not in record["timings"]
    noted = to_record(result(timings=Timings(notes=("halved",))), granularity="utterance")
    assert noted["timings"]["notes"] == ["halved"]


def test_failed_input_has_no_answer():
    record = to_record(failed(), granularity="frame")
    assert record["error"] == {"code": "not_audio", "message": "broken.wav: not audio"}
    assert type(record["error"]["code"]) is str  # writers of YAML, say, take no subclass of it
    assert not {"label", "score", "scores", "shares", "speech_s", "pooled", "segments", "frames"} & record.keys()
    assert _strict(_line(failed(), "frame")) == record


def test_no_classes_and_silence():
    nothing = {"score": None, "scores": None, "shares": None, "pooled": None}
    bare = to_record(result(label=None, **nothing, segments=[segment(0, 10, None)]), granularity="utterance")
    assert {key: bare[key] for key in nothing} == nothing
    with frames(3, labels=()) as some:
        record = _strict(_line(result(frames=some), "frame"))
    assert record["frames"] == {"hop": 0.02, "labels": [], "starts": [0.0, 0.02, 0.04], "scores": None}
    assert _strict(_line(result(), "frame"))["frames"] is None


@pytest.mark.parametrize("count", [0, 1, 4096, 9000])
def test_chunks_join_to_the_record(count):
    with frames(count) as some:
        value = result(frames=some)
        text = _line(value, "frame")
        whole = to_record(value, granularity="frame")
        chunks = list(json_chunks(value, "frame"))
    assert _strict(text) == whole
    assert len(whole["frames"]["starts"]) == len(whole["frames"]["scores"]) == count
    # A piece holds at most one chunk of 4096 rows: 3 scores of 8 characters with brackets.
    assert max(map(len, chunks)) < 4096 * 3 * 10


def test_not_a_number_becomes_null():
    scores = {"angry": math.nan, "happy": math.inf, "neutral": 0.5}
    record = _strict(_line(result(score=math.nan, scores=scores)))
    assert record["score"] is None
    assert record["scores"] == {"angry": None, "happy": None, "neutral": 0.5}
    with frames(2) as some:
        some.scores.append(np.full((1, 3), np.nan, np.float32))
        some.starts.append(np.array([640]))
        assert _strict(_line(result(frames=some), "frame"))["frames"]["scores"][2] == [None] * 3
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(math.nan)


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=12))
def test_rounded_scores_still_sum_to_one(weights):
    shares = np.array(weights) / sum(weights)
    scores = {f"class {i}": float(share) for i, share in enumerate(shares)}
    written = to_record(result(scores=scores), granularity="utterance")["scores"]
    assert abs(sum(written.values()) - 1) < 1e-5
    assert all(abs(written[label] - score) <= 5.1e-7 for label, score in scores.items())


@given(st.binary(min_size=1, max_size=40))
def test_any_file_name_is_one_line_of_utf8_and_comes_back(raw):
    name = os.fsdecode(raw)
    text = _line(result(name))
    assert len(text.encode("utf-8").decode("utf-8").splitlines()) == 1
    assert _strict(text)["source"] == name


@given(st.text(max_size=40))
def test_any_text_comes_back(text):
    assert _strict(_line(result(warnings=(text,))))["warnings"] == [text]


def test_readable_where_it_can_be():
    assert "通话.mp3" in _line(result("通话.mp3"))
    assert list(LABELS) == list(_strict(_line(result()))["scores"])
