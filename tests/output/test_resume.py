"""Resuming: whatever point a run was killed at, each input ends up in the file once."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.results import failed, frames, result
from overtone.errors import UsageError
from overtone.output.formats import open_sink
from overtone.output.records import json_chunks, to_json
from overtone.output.resume import key_of, resume_from, run_identity

RUN = {"model": "tiny", "precision": "fp32", "granularity": "segment"}


def _line(value, granularity="segment"):
    return "".join(json_chunks(value, granularity)).encode() + b"\n"


def _channels(source, *numbers, of=2):
    return [result(source, channel=number, channels=of) for number in numbers]


def _sources(path):
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    return sorted((record["source"], record.get("id"), record.get("channel")) for record in records)


def _redo(path, todo, granularity="segment"):
    """What a resumed run does: all inputs that are not finished, each with all its channels."""
    done = resume_from(str(path), run_identity(**RUN | {"granularity": granularity}))
    with open_sink(str(path), granularity=granularity, labels=(), append=True) as sink:
        for item in todo:
            if key_of(item.source, item.id) not in done:
                sink.write(item)


TODO = [
    result("a.wav"),
    result("通话\udc80.wav"),
    *_channels("two.wav", 0, 1),
    result("c\n.wav", id="utt-1"),
    result("c\n.wav", id="utt-2"),
]


def test_killed_at_every_byte(tmp_path):
    path = tmp_path / "out.jsonl"
    # The shortest records, as each byte costs a run.
    todo = TODO[1:5]
    whole = b"".join(_line(item, "utterance") for item in todo)
    path.write_bytes(whole)
    expected = _sources(path)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        _redo(path, todo, "utterance")
        assert _sources(path) == expected, f"killed after {size} bytes"
    assert os.listdir(tmp_path) == ["out.jsonl"]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([*TODO, failed("a.wav"), failed("b.wav"), *_channels("three.wav", 0, 1, 2, of=3)])),
    st.data(),
)
def test_any_mixture_ends_with_each_input_once(tmp_path_factory, written, data):
    path = tmp_path_factory.mktemp("j") / "out.jsonl"
    whole = b"".join(_line(item) for item in written)
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    _redo(path, TODO)
    found = [source for source in _sources(path) if source[0] != "three.wav"]
    assert found == sorted((item.source, item.id, item.channel) for item in TODO)
    before = path.read_bytes()
    resume_from(str(path), run_identity(**RUN))
    assert path.read_bytes() == before


def test_finished_work_is_kept_untouched(tmp_path):
    path = tmp_path / "out.jsonl"
    assert resume_from(str(path), run_identity(**RUN)) == set()
    path.write_bytes(b"".join(_line(item) for item in TODO))
    node = path.stat().st_ino
    assert resume_from(str(path), run_identity(**RUN)) == {key_of(item.source, item.id) for item in TODO}
    assert path.stat().st_ino == node


def test_what_is_taken_out(tmp_path):
    path = tmp_path / "out.jsonl"
    items = [failed("f.wav"), result("a.wav"), *_channels("two.wav", 0, 0), result("a.wav", duration=9.0)]
    path.write_bytes(b"".join(map(_line, items)) + b"\n" + b"\0" * 7)
    path.chmod(0o640)
    assert resume_from(str(path), run_identity(**RUN)) == {"a.wav"}
    assert path.read_bytes() == _line(items[1])
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_failed_channel_undoes_its_input(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(_line(_channels("two.wav", 0)[0]) + _line(failed("two.wav", channel=1, channels=2)))
    assert resume_from(str(path), run_identity(**RUN)) == set()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("change", "word"),
    [({"model": "base"}, "model"), ({"precision": "int8"}, "precision"), ({"granularity": "frame"}, "granularity"),
     ({"granularity": "utterance"}, "granularity")],
)  # fmt: skip
def test_another_run_is_refused(tmp_path, change, word):
    path = tmp_path / "out.jsonl"
    path.write_bytes(_line(result("a.wav")) + _line(result("b.wav"))[:-5])
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"line 1, is of {word} .*another -o"):
        resume_from(str(path), run_identity(**RUN | change))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (_line(result()) + b'{"source": "b"\n' + _line(result("c")), 2),
        (b"notes to self\n", 1),
        (b"my only line", 1),
        (b'{"other": 1}\n', 1),
        (_line(result()) + b"[1, 2]\n", 2),
        (b'{"source": "a", "model": "m"}\n' + _line(result()), 1),
        (b"[" * 100_000 + b"\n" + _line(result()), 1),
        (_line(result()) + b"1" * 5000 + b"\n" + _line(result("c")), 2),
        (b'{"source": "a", "model": "m", "precision": "p", "error": null, "channel": []}\n', 1),
        (b'{"source": "a", "model": "m", "precision": "p", "error": null, "scores": 5}\n', 1),
        (b'{"source": "a", "model": "m", "precision": "p", "error": null, "models": null}\n', 1),
        (b'{"source": "a", "model": "m", "precision": "p", "error": null, "models": {}, "sentences": [7]}\n', 1),
    ],
)
def test_a_file_of_another_kind_is_left_alone(tmp_path, content, number):
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"line {number}:.*left as it is"):
        resume_from(str(path), run_identity(**RUN))
    assert path.read_bytes() == content


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(UsageError, match="not a file"):
        resume_from(str(tmp_path), run_identity(**RUN))


def test_long_lines_are_read_by_their_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("overtone.output.resume.WHOLE_LINE_BYTES", 2000)
    monkeypatch.setattr("overtone.output.resume.END_BYTES", 900)
    path = tmp_path / "out.jsonl"
    run = RUN | {"granularity": "frame"}
    tricky = 'x", "model": "base", "label": .wav'
    with frames(500) as some, frames(500, labels=()) as bare:
        values = [
            result(tricky, id="u", frames=some, warnings=(', "model": "x"',)),
            result("bare.wav", frames=bare),
            *[result("two.wav", frames=some, channel=c, channels=2) for c in (0, 1)],
            result("short.wav"),
        ]
        lines = [_line(value, "frame") for value in values]
        segments = _line(result("s.wav", segments=list(values[0].segments) * 20))
    path.write_bytes(b"".join(lines))
    keys = {key_of(tricky, "u"), "bare.wav", "two.wav", "short.wav"}
    assert resume_from(str(path), run_identity(**run)) == keys
    path.write_bytes(_as_before(lines[0]))
    with pytest.raises(UsageError, match="line 1, was written by an earlier version"):
        resume_from(str(path), run_identity(**run))
    for cut in (1, 500, 3000):
        path.write_bytes(b"".join(lines) + lines[0][:-cut])
        assert resume_from(str(path), run_identity(**run)) == keys
        assert path.read_bytes() == b"".join(lines)
    path.write_bytes(segments)
    assert resume_from(str(path), run_identity(**RUN)) == {"s.wav"}
    with pytest.raises(UsageError, match="granularity segment"):
        resume_from(str(path), run_identity(**run))


def _as_before(line):
    """A record as versions wrote it whose label and scores were those of the mean frame."""
    record = json.loads(line)
    for key in ("shares", "speech_s", "pooled"):
        record.pop(key, None)
    for entry in record.get("segments", ()):
        del entry["speech_s"]
    return to_json(record).encode() + b"\n"


@pytest.mark.parametrize("granularity", ["utterance", "segment"])
def test_emotions_of_an_earlier_version_are_not_gone_on_with_as_they_say_something_else(tmp_path, granularity):
    path = tmp_path / "out.jsonl"
    path.write_bytes(_line(result("a.wav"), granularity) + _as_before(_line(result("b.wav"), granularity)))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"line 2, was written by an earlier version .*another -o, or overwrite"):
        resume_from(str(path), run_identity(**RUN | {"granularity": granularity}))
    assert path.read_bytes() == before
    path.write_bytes(_as_before(_line(failed("b.wav"), granularity)))  # it is done again, and says nothing
    assert resume_from(str(path), run_identity(**RUN | {"granularity": granularity})) == set()


def test_keys():
    assert key_of("./a/../b.wav") == key_of("b.wav") == "b.wav"
    assert key_of("-") == "-"
    assert key_of("https://h//x") == "https://h//x"
    assert len({key_of("a"), key_of("a", "1"), key_of("a", "2"), key_of("1", "a")}) == 4


def test_a_run_of_before_goes_on_though_its_model_was_called_by_its_path(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(_line(result("a.wav")).replace(b'"model": "tiny"', b'"model": "/models/tiny"'))
    with pytest.raises(UsageError, match="is of model /models/tiny, and this run of model tiny"):
        resume_from(str(path), run_identity(**RUN))
    with pytest.raises(UsageError, match="is of model /models/tiny"):
        resume_from(str(path), run_identity(**RUN), formerly={"/other/tiny": "tiny"})
    assert resume_from(str(path), run_identity(**RUN), formerly={"/models/tiny": "tiny"}) == {"a.wav"}
