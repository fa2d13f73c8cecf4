"""The JSON record of a transcript: its keys, its strictness, its memory, and resuming from it."""

import itertools
import json
import math
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.paths import DOCS
from helpers.results import failed, failed_transcript, result, sentence, transcript
from overtone.errors import UsageError
from overtone.output.formats import open_sink
from overtone.output.records import DETAILS, json_chunks, to_record
from overtone.output.resume import key_of, resume_from, run_identity
from overtone.results import Emotion, Sentence, Timings, Word

PAGE = DOCS / "transcripts.md"
RUN = {"model": "sensevoice-small", "precision": "fp32"}


def _line(value, detail="word"):
    return "".join(json_chunks(value, detail))


def _strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_keys_and_their_order():
    who, answer = ["source", "id", "channel", "channels"], ["duration", "text", "language", "speakers"]
    run = ["model", "models", "precision", "device", "backend", "timings"]
    full = transcript(id="utt1", channel=0, channels=2, warnings=("clipped",))
    record = to_record(full, granularity="word")
    assert list(record) == [*who, *answer, "sentences", *run, "warnings", "error"]
    bare = to_record(transcript(speakers=None), granularity="text")
    assert list(bare) == ["source", *answer[:3], *run, "error"]
    first, second, third = record["sentences"]
    assert list(first) == ["start", "end", "text", "speaker", "emotion", "language", "confidence", "words"]
    assert list(third) == ["start", "end", "text", "event", "confidence", "words"]
    assert first["emotion"] == {"label": "neutral"}
    assert second["emotion"] == {"label": "happy", "score": 0.75, "scores": {"happy": 0.75}}
    assert list(second["words"][0]) == ["text", "start", "end", "confidence", "speaker"]
    assert "words" not in to_record(full, granularity="sentence")["sentences"][0]


def test_values():
    said = Sentence(0.12345, 1.99999, "Hi.", (Word("Hi", 0.12345, 1.0, 0.98765432),), confidence=0.98765432)
    record = to_record(transcript(sentences=[said]), granularity="word")
    assert record["sentences"] == [
        {
            "start": 0.123,
            "end": 2.0,
            "text": "Hi.",
            "confidence": 0.9877,
            "words": [{"text": "Hi", "start": 0.123, "end": 1.0, "confidence": 0.9877}],
        }
    ]
    assert record["models"] == {"vad": "fsmn-vad", "speakers": "campplus"}
    assert record["speakers"] == 2


def test_failed_input_has_no_answer():
    record = to_record(failed_transcript(), granularity="word")
    assert record["error"] == {"code": "not_audio", "message": "broken.wav: not audio"}
    assert not {"text", "language", "speakers", "sentences"} & record.keys()
    assert record["models"]
    assert _strict(_line(failed_transcript())) == record


def test_nobody_speaks():
    silent = transcript(text="", sentences=[], language=None, speakers=0)
    record = _strict(_line(silent))
    assert (record["text"], record["language"], record["speakers"], record["sentences"]) == ("", None, 0, [])


def test_words_without_times():
    said = Sentence(0, 1, "Hi there", (Word("Hi", None, None, None), Word("there", None, None, math.nan)))
    (first,) = _strict(_line(transcript(sentences=[said])))["sentences"]
    assert first["confidence"] is None
    assert first["words"][1] == {"text": "there", "start": None, "end": None, "confidence": None}


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("count", [0, 1, 64, 65, 300])
def test_chunks_join_to_the_record(detail, count):
    value = transcript(sentences=[sentence(i, i + 0.9, f"This is number {i}.") for i in range(count)])
    assert _strict(_line(value, detail)) == to_record(value, granularity=detail)


def test_hours_are_written_in_little_memory():
    class Endless:
        """Hours of sentences that are made when they are asked for."""

        def __iter__(self):
            return (sentence(i * 4, i * 4 + 3, "What is said in five hours, word for word.") for i in range(4500))

    value = transcript(sentences=Endless())
    tracemalloc.start()
    length = longest = 0
    for chunk in json_chunks(value, "word"):
        length += len(chunk)
        longest = max(longest, len(chunk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 3_000_000
    assert longest < 100_000  # 64 sentences of nine words
    assert peak < 1_000_000


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_comes_back_on_one_line(text, label):
    said = Sentence(0, 1, text, (Word(text, 0, 1, 0.5),), emotion=Emotion(label), event=label)
    line = _line(transcript(text=text, sentences=[said]))
    assert len(line.encode("utf-8").decode("utf-8").splitlines()) == 1
    record = _strict(line)
    assert record["text"] == record["sentences"][0]["words"][0]["text"] == text
    assert record["sentences"][0]["emotion"]["label"] == label


def test_a_level_is_of_one_kind():
    for value, level in ((transcript(), "segment"), (failed_transcript(), "frame"), (result(), "word")):
        with pytest.raises(TypeError, match=f"{type(value).__name__} has no granularity '{level}'"):
            to_record(value, granularity=level)
        with pytest.raises(TypeError):
            _line(value, level)


def test_the_page_names_every_field():
    timings = Timings(notes=("batch halved",))
    whole = transcript(id="a", channel=0, channels=2, warnings=("cut short",), timings=timings)
    record = _strict(_line(whole))
    merged = {key: value for entry in record["sentences"] for key, value in entry.items() if value}
    merged["emotion"] = record["sentences"][1]["emotion"]
    documented = set(re.findall(r"^\| `([a-z][a-z_.\[\]]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    shared = {"source", "id", "channel", "channels", "precision", "device", "backend", "timings", "warnings", "error"}
    assert documented == set(_fields({**record, "sentences": [merged]})) - shared


def _fields(value, above=""):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _fields(value[0], above + "[]")
    if not isinstance(value, dict) or above in ("models", "timings") or above.endswith("scores"):
        return
    for name, below in value.items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _fields(below, path)


# Resuming

TODO = [
    transcript("a.wav"),
    transcript("silent.wav", text="", sentences=[], language=None),
    *[transcript("two.wav", channel=number, channels=2) for number in (0, 1)],
    transcript("c\n.wav", id="utt-1"),
    transcript('", "text": "x', sentences=[sentence(0, 1, '", "model": "base"')]),
]


def _bytes(value, detail="word"):
    return _line(value, detail).encode() + b"\n"


def _sources(path):
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    return sorted((record["source"], record.get("id"), record.get("channel")) for record in records)


@pytest.mark.parametrize("detail", DETAILS)
def test_a_killed_run_goes_on(tmp_path, detail):
    path = tmp_path / "out.jsonl"
    whole = b"".join(_bytes(item, detail) for item in [failed_transcript("a.wav"), *TODO])
    path.write_bytes(whole)
    expected = sorted((item.source, item.id, item.channel) for item in TODO)
    for size in itertools.chain(range(0, len(whole), 97), [len(whole)]):
        path.write_bytes(whole[:size])
        done = resume_from(str(path), run_identity(granularity=detail, models=TODO[0].models, **RUN))
        with open_sink(str(path), granularity=detail, append=True) as sink:
            for item in TODO:
                if key_of(item.source, item.id) not in done:
                    sink.write(item)
        assert _sources(path) == expected, f"killed after {size} bytes"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "paraformer-zh"}, "model"),
        ({"precision": "int8"}, "precision"),
        ({"granularity": "sentence"}, "granularity"),
        ({"granularity": "text"}, "granularity"),
        ({"granularity": "segment"}, "task"),
        ({"models": {"vad": "fsmn-vad"}}, "models"),
        ({"channels": "split"}, "channels"),
    ],
)
@pytest.mark.parametrize("long", [False, True])
def test_another_run_is_refused(tmp_path, monkeypatch, change, word, long):
    if long:
        monkeypatch.setattr("overtone.output.resume.WHOLE_LINE_BYTES", 500)
        monkeypatch.setattr("overtone.output.resume.END_BYTES", 400)
    path = tmp_path / "out.jsonl"
    path.write_bytes(_bytes(transcript()))
    before = path.read_bytes()
    run = RUN | {"granularity": "word"}
    assert resume_from(str(path), run_identity(**run)) == {"call.mp3"}
    with pytest.raises(UsageError, match=f"line 1, is of {word} .*another -o"):
        resume_from(str(path), run_identity(**run | change))
    assert path.read_bytes() == before


def test_emotions_are_no_transcripts(tmp_path):
    path = tmp_path / "out.jsonl"
    for item in (result(), failed()):
        path.write_text("".join(json_chunks(item, "segment")) + "\n")
        with pytest.raises(UsageError, match="is of task emotion, and this run of task transcription"):
            resume_from(str(path), run_identity(granularity="word", model="tiny", precision="fp32"))
    path.write_bytes(_bytes(TODO[1]))
    assert resume_from(str(path), run_identity(granularity="sentence", **RUN)) == {"silent.wav"}
    with pytest.raises(UsageError, match="granularity sentence"):
        resume_from(str(path), run_identity(granularity="text", **RUN))


@pytest.mark.parametrize("detail", DETAILS)
def test_long_lines_are_read_by_their_ends(tmp_path, monkeypatch, detail):
    monkeypatch.setattr("overtone.output.resume.WHOLE_LINE_BYTES", 2000)
    monkeypatch.setattr("overtone.output.resume.END_BYTES", 900)
    path = tmp_path / "out.jsonl"
    said = [sentence(i, i + 1, 'He said ", "model": "x" again.') for i in range(60)]
    items = [transcript('x", "text": "y', text="many words " * 300, sentences=said, id="u"), transcript("short.wav")]
    path.write_bytes(b"".join(_bytes(item, detail) for item in items))
    run = RUN | {"granularity": detail}
    keys = {key_of('x", "text": "y', "u"), "short.wav"}
    assert resume_from(str(path), run_identity(**run)) == keys
    path.write_bytes(path.read_bytes() + _bytes(items[0], detail)[:-300])
    assert resume_from(str(path), run_identity(**run)) == keys
    assert path.read_bytes() == b"".join(_bytes(item, detail) for item in items)
    for other in set(DETAILS) - {detail}:
        with pytest.raises(UsageError, match=f"granularity {detail}"):
            resume_from(str(path), run_identity(**run | {"granularity": other}))


@pytest.mark.parametrize("change", [{"models": ["x"]}, {"sentences": 3}, {"sentences": {"a": 1}}])
def test_a_record_of_another_shape_is_left_alone(tmp_path, change):
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(to_record(transcript(), granularity="word") | change) + "\n")
    with pytest.raises(UsageError, match="not a record of Overtone"):
        resume_from(str(path), run_identity(granularity="word", **RUN))
