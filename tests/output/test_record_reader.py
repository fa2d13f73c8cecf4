"""Records read back: what is made of one is written as the same record again."""

import json

import pytest

from helpers.results import failed, frames, result
from overtone.errors import InputError
from overtone.output.record_reader import parse_record
from overtone.output.records import json_chunks, to_record
from overtone.results import EmotionResult, Timings


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


def test_frames_of_a_model_without_classes():
    with frames(3, labels=()) as some:
        record = _record(result(label=None, score=None, scores=None, segments=(), frames=some), "frame")
    assert to_record(parse_record(record), granularity="frame") == record


def test_an_error_keeps_its_code_and_message():
    back = parse_record(_record(failed(), "segment"))
    assert isinstance(back.error, InputError)
    assert (back.error.code, str(back.error)) == ("not_audio", "broken.wav: not audio")
    assert not back.ok
