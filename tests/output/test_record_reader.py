"""Records read back: what is made of one is written as the same record again."""

import json

import pytest

from helpers.results import failed, frames, result
from overtone.errors import InputError
from overtone.output.record_reader import parse_record
from overtone.output.records import json_chunks, to_record
from overtone.results import Emotion, EmotionResult, Timings


def _record(value, granularity):
    return json.loads("".join(json_chunks(value, granularity)))


@pytest.mark.parametrize("granularity", ["utterance", "segment", "frame"])
def test_a_record_read_back_is_written_the_same(granularity):
    with frames(5) as some:
        timings = Timings(run_s=0.5, notes=("halved",))
        full = result(id="utt1", channel=1, channels=2, warnings=("clipped",), timings=timings, frames=some)
        record = _record(full, granularity)
    back = parse_record(record)
    assert isinstance(back, EmotionResult)
    assert to_record(back, granularity=granularity) == record


@pytest.mark.parametrize("granularity", ["utterance", "segment"])
def test_a_record_of_an_earlier_version_says_what_it_said_then(granularity):
    record = _record(result(), granularity)
    for key in ("shares", "speech_s", "pooled"):
        del record[key]
    for entry in record.get("segments", ()):
        del entry["speech_s"]
    back = parse_record(record)
    assert (back.label, back.score, back.scores, back.shares) == ("angry", 0.6, record["scores"], None)
    assert back.pooled == Emotion("angry", 0.6, record["scores"])
    assert back.speech_s == (2.0 if granularity == "segment" else 3.0)  # silence is known of the timeline alone
    assert [entry.speech_s for entry in back.segments] == ([1.0, 0.0, 1.0] if granularity == "segment" else [])


@pytest.mark.parametrize("label", ["silence", None])
def test_a_record_of_an_earlier_version_without_scores(label):
    record = _record(result(label=label, score=None, scores=None, segments=[]), "utterance")
    for key in ("shares", "speech_s", "pooled"):
        del record[key]
    back = parse_record(record)
    assert (back.label, back.pooled, back.speech_s) == (label, None, 0.0)


def test_frames_of_a_model_without_classes():
    with frames(3, labels=()) as some:
        record = _record(result(label=None, score=None, scores=None, segments=(), frames=some), "frame")
    assert to_record(parse_record(record), granularity="frame") == record


def test_an_error_keeps_its_code_and_message():
    back = parse_record(_record(failed(), "segment"))
    assert isinstance(back.error, InputError)
    assert (back.error.code, str(back.error)) == ("not_audio", "broken.wav: not audio")
    assert not back.ok
