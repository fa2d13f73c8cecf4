"""Every output format, read back by its own rules."""

import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.results import LABELS, failed, frames, result, segment
from overtone.errors import UsageError
from overtone.output.formats import FORMATS, OutputNames, base_name, open_sink
from overtone.output.formats.csv import escape_formula
from overtone.output.formats.output_file import Target
from overtone.output.records import to_record
from overtone.output.times import clock

HOUR = 3600 * 16_000


def _open(path, **options):
    return open_sink(None if path is None else str(path), **({"granularity": "segment", "labels": LABELS} | options))


def _write(path, *results, **options):
    with _open(path, **options) as sink:
        for item in results:
            sink.write(item)
    return Path(path).read_bytes().decode()


def _lines(text):
    return [json.loads(line) for line in text.splitlines()]


# JSON


def test_json_lines_are_there_at_once(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    sink = _open(path)
    for count in (1, 2):
        sink.write(result(f"{count}.wav"))
        assert len(_lines(path.read_text())) == count
    sink.close()
    sink.close()
    assert _lines(_write(path, failed(), append=True))[2]["error"]["code"] == "not_audio"
    assert len(_lines(_write(path, result()))) == 1


def test_append_starts_on_a_line_of_its_own(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text('{"source": "a"}')
    assert len(_lines(_write(path, result(), append=True))) == 2


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_an_array(tmp_path, count):
    items = [result("a.wav"), failed(), result("c.wav")][:count]
    text = _write(tmp_path / "out.json", *items)
    assert json.loads(text) == [to_record(item, granularity="segment") for item in items]


# The target


@pytest.mark.parametrize("ending", ["json", "csv", "parquet", "rttm"])
def test_a_file_has_its_name_only_when_closed(tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    path.write_text("what was there before")
    sink = _open(path)
    sink.write(result())
    assert path.read_text() == "what was there before"
    assert sorted(os.listdir(tmp_path)) == [path.name, path.name + ".part"]
    sink.close()
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes()[:12] != b"what was the"


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_an_interrupted_run_leaves_what_was_done(tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    with pytest.raises(KeyboardInterrupt), _open(path) as sink:
        sink.write(result("a.wav"))
        raise KeyboardInterrupt
    if ending == "parquet":
        assert pq.read_table(path).num_rows == 3
    elif ending == "json":
        assert len(json.loads(path.read_text())) == 1
    else:
        assert "a.wav" in path.read_text()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("ending", ["json", "csv", "parquet", "srt", "vtt", "txt", "rttm"])
def test_a_run_that_is_interrupted_before_its_first_result_leaves_what_was_there(tmp_path, ending, there):
    path = tmp_path / f"out.{ending}"
    if there:
        path.write_text("what was there before")
    with pytest.raises(KeyboardInterrupt), _open(path):
        raise KeyboardInterrupt
    if ending != "parquet":  # whose rows wait for a group to be full
        with pytest.raises(KeyboardInterrupt), _open(path) as sink:
            sink.write(result("a.wav", segments=_Interrupt()))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["what was there before"] * there


@pytest.mark.parametrize(("format", "said"), [("json", "[]\n"), ("csv", "source,id,")])
def test_standard_output_is_finished_even_then(capsysbinary, format, said):
    with pytest.raises(KeyboardInterrupt), _open(None, format=format):
        raise KeyboardInterrupt
    assert capsysbinary.readouterr().out.decode().startswith(said)


class _Interrupt:
    """A sequence of segments during which the user gives up."""

    def __iter__(self):
        yield segment(0, 100, (1, 0, 0))
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "rttm"])
def test_a_result_is_written_as_a_whole_or_not_at_all(tmp_path, ending):
    whole = _write(tmp_path / f"whole.{ending}", result("a.wav"), result("b.wav"))
    path = tmp_path / f"out.{ending}"
    with _open(path) as sink:
        sink.write(result("a.wav"))
        with pytest.raises(KeyboardInterrupt):
            sink.write(result("a.wav", segments=_Interrupt()))
        sink.write(result("b.wav"))
    assert path.read_bytes().decode() == whole


def test_a_long_record_that_fails_midway_is_cut_back(tmp_path):
    target = Target(str(tmp_path / "x"))
    with target.transaction():
        target.write("kept\n")
    with pytest.raises(RuntimeError), target.transaction():
        for _ in range(4):
            target.write("y" * (1 << 20))
        raise RuntimeError
    with target.transaction():
        target.write("after\n")
    target.close()
    assert (tmp_path / "x").read_text() == "kept\nafter\n"


def test_standard_output_gets_bytes(capfdbinary, monkeypatch):
    with _open(None, format="jsonl") as sink:
        sink.write(result("통\udc80.wav"))
    with _open(None, format="parquet") as sink:
        sink.write(result())
    out = capfdbinary.readouterr().out
    line, table = out.split(b"\n", 1)
    assert json.loads(line)["source"] == "통\udc80.wav"
    assert pq.read_table(io.BytesIO(table)).num_rows == 3
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with _open(None) as sink:
        sink.write(result())
    assert json.loads(sys.stdout.getvalue())


def test_links_and_devices_are_not_replaced(tmp_path):
    (tmp_path / "real.csv").write_text("")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    _write(tmp_path / "link.csv", result())
    assert (tmp_path / "link.csv").is_symlink()
    assert "call.mp3" in (tmp_path / "real.csv").read_text()
    _write("/dev/null", result(), format="csv")
    assert not os.path.isfile("/dev/null")


def test_what_cannot_be_written_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out.jsonl", tmp_path / "file" / "out.csv", tmp_path / "file" / "{name}.srt"):
        with pytest.raises(UsageError, match=r"cannot write .*file.*Choose another place") as caught:
            _open(path)
        assert caught.value.code == "unwritable"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_full_disk_is_named(kind):
    sink = _open("/dev/full", format=kind)
    with pytest.raises(UsageError, match="No space left"), sink:
        sink.write(result())


def test_a_closed_pipe_is_left_to_the_caller(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    reader = os.open(tmp_path / "pipe.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    sink = _open(tmp_path / "pipe.jsonl")
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        sink.write(result())
    sink.close()


# Tables


@pytest.mark.parametrize(
    ("granularity", "where"), [("utterance", ["duration", "speech_s"]), ("segment", ["start", "end", "speech_s"])]
)
def test_csv_rows(tmp_path, granularity, where):
    nothing = {"score": None, "scores": None, "shares": None, "speech_s": 0.0, "pooled": None}
    silent = result("s.wav", label="silence", **nothing, segments=[])
    text = _write(tmp_path / "o.csv", result(channel=1), failed(), silent, granularity=granularity)
    assert text.count("\r\n") == text.count("\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    told = ["label", "score", *LABELS]
    if granularity == "utterance":
        told += [*(f"share_{label}" for label in LABELS), *(f"pooled_{name}" for name in told)]
    assert list(rows[0]) == ["source", "id", "channel", *where, *told, "error_code", "error_message"]
    assert rows[-1]["speech_s"] == "0.000"
    assert rows[0]["channel"] == "1"
    assert rows[-2]["error_code"] == "not_audio"
    assert rows[-1]["label"] == "silence"
    assert len(rows) == (3 if granularity == "utterance" else 5)
    if granularity == "segment":
        assert (rows[0]["start"], rows[0]["end"], rows[0]["angry"]) == ("0.000", "1.000", "0.830000")
        assert (rows[0]["speech_s"], rows[1]["speech_s"]) == ("1.000", "0.000")
        assert (rows[1]["label"], rows[1]["score"]) == ("silence", "")
    else:
        assert (rows[0]["duration"], rows[0]["speech_s"], rows[0]["share_happy"]) == ("3.000", "2.000", "0.500000")
        assert (rows[0]["pooled_label"], rows[0]["pooled_score"], rows[0]["pooled_neutral"]) == (
            "happy",
            "0.500000",
            "0.100000",
        )
        assert {rows[2][f"{kind}_angry"] for kind in ("share", "pooled")} == {rows[2]["pooled_label"]} == {""}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("labels", [LABELS, ("neutral", "angry"), ()])
def test_frame_rows(tmp_path, ending, labels):
    path = tmp_path / f"o.{ending}"
    with frames(5000, LABELS if labels else ()) as some, _open(path, granularity="frame", labels=labels) as sink:
        sink.write(result(frames=some))
        sink.write(result("silent.wav", label="silence", score=None, scores=None, segments=[]))
        expected = to_record(result(frames=some), granularity="frame")["frames"]
    if ending == "csv":
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    else:
        rows = pq.read_table(path).to_pylist()
    assert len(rows) == 5001
    assert rows[-1]["label"] == "silence"
    for at in (0, 1, 4095, 4096, 4999):
        assert float(rows[at]["start"]) == expected["starts"][at]
        if labels:
            scores = dict(zip(expected["labels"], expected["scores"][at], strict=True))
            assert {label: round(float(rows[at][label]), 4) for label in labels} == {k: scores[k] for k in labels}
            assert scores[rows[at]["label"]] == max(scores.values())


@pytest.mark.parametrize(
    ("cell", "path", "safe"),
    [
        ("=cmd|'/C calc'!A0.wav", True, "./=cmd|'/C calc'!A0.wav"),
        ("+4930123.wav", True, "./+4930123.wav"),
        ("-", True, "-"),
        ("-x", False, "'-x"),
        ("@sum", False, "'@sum"),
        ("\t=1", False, "'\t=1"),
        ("a=b.wav", True, "a=b.wav"),
    ],
)
def test_no_cell_is_a_formula(cell, path, safe):
    assert escape_formula(cell, path=path) == safe


@given(name=st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name))
def test_csv_cells_come_back(tmp_path_factory, name):
    text = _write(tmp_path_factory.mktemp("c") / "o.csv", result(name), granularity="utterance")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["source"].removeprefix("./") == name.encode("utf-8", "backslashreplace").decode().removeprefix("./")


def test_parquet_types_metadata_and_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("overtone.output.formats.parquet.ROW_GROUP_ROWS", 4)
    path = tmp_path / "o.parquet"
    with _open(path) as sink:
        for index in range(5):
            sink.write(result(f"{index}\udc80.wav", channel=index))
        sink.write(failed())
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == 16
    assert file.metadata.num_row_groups == 4
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    about = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    assert about["overtone.model"] == "tiny"
    assert about["overtone.precision"] == "fp32"
    assert about["overtone.device"] == "cpu"
    rows = file.read().to_pylist()
    assert rows[0]["source"] == "0\\udc80.wav"
    assert rows[1]["score"] is None
    assert rows[-1]["error_code"] == "not_audio"
    assert {str(t) for t in file.schema_arrow.types} == {"string", "int32", "double", "float"}


def test_parquet_without_rows_is_readable(tmp_path):
    _open(tmp_path / "o.parquet").close()
    assert pq.read_table(tmp_path / "o.parquet").num_rows == 0


@pytest.mark.parametrize("path", ["o.parquet", "{name}.parquet"])
def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch, path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=re.escape("pip install 'overtone[parquet]'")):
        _open(tmp_path / path)
    assert os.listdir(tmp_path) == []


def test_a_class_named_as_a_column_is_told_apart(tmp_path):
    text = _write(tmp_path / "o.csv", result(), labels=("label", "angry"))
    assert text.splitlines()[0].count(",label,") == 1
    assert ",score_label,angry," in text.splitlines()[0]


def test_no_two_columns_of_whole_inputs_have_one_name(tmp_path):
    labels = ("score", "label", "speech_s", "share_score", "pooled_label", "angry", "duration")
    text = _write(tmp_path / "o.csv", result(), granularity="utterance", labels=labels)
    names = text.splitlines()[0].split(",")
    assert len(set(names)) == len(names)
    assert {"score_pooled_label", "share_angry", "pooled_score_label"} <= set(names)


# Timelines


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "00:00:00,000"), (3_599_999, "00:59:59,999"), (3_600_000, "01:00:00,000"), (400 * 3_600_000, "400:00:00,000")],
)
def test_timestamps(milliseconds, text):
    assert clock(milliseconds / 1000, 3, mark=",", padded=True) == text


def _timeline(labels=LABELS):
    return result(
        segments=[
            segment(0, 16_000, (0.83, 0.07, 0.1), labels),
            segment(16_000, HOUR, None),
            segment(HOUR, HOUR + 8_008, (0.1, 0.2, 0.7), labels),
        ]
    )


def test_srt(tmp_path):
    assert _write(tmp_path / "o.srt", _timeline()) == (
        "1\n00:00:00,000 --> 00:00:01,000\nangry 0.83\n\n2\n01:00:00,000 --> 01:00:00,501\nneutral 0.70\n\n"
    )


def test_vtt(tmp_path):
    text = _write(tmp_path / "o.vtt", _timeline(("a --> b & c\nd", "happy", "<unk>")))
    assert text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.059\na --&gt; b &amp; c d 0.83\n\n"
        "01:00:00.000 --> 01:00:00.501\n&lt;unk&gt; 0.70\n\n"
    )


def test_srt_has_no_tags_and_no_second_arrow(tmp_path):
    text = _write(tmp_path / "o.srt", _timeline(("a --> b\n\nc", "happy", "<unk>")))
    assert text.count("-->") == 2
    assert "‹unk› 0.70" in text
    assert "a --› b c 0.83" in text


def test_audacity_labels(tmp_path):
    text = _write(tmp_path / "o.txt", _timeline(("生气\t/angry", "happy", "neutral")))
    assert text == "0.000000\t1.000000\t生气 /angry\n3600.000000\t3600.500500\tneutral\n"


def test_rttm_holds_all_inputs(tmp_path):
    items = [result("x/my call.mp3", channel=0), result("x/my call.mp3", channel=1), failed(), result("y/my call.wav")]
    lines = _write(tmp_path / "o.rttm", *items).splitlines()
    assert lines[0] == "SPEAKER my_call 1 0.000 1.000 <NA> <NA> angry 0.830000 <NA>"
    assert [line.split()[1:3] for line in lines[::2]] == [["my_call", "1"], ["my_call", "2"], ["my_call-2", "1"]]
    assert all(len(line.split()) == 10 for line in lines)


@pytest.mark.parametrize("ending", ["srt", "vtt", "txt"])
def test_one_timeline_to_a_file(tmp_path, ending):
    path = tmp_path / f"o.{ending}"
    with pytest.raises(UsageError, match=re.escape("{name}")):
        _open(path, many=True)
    with _open(path) as sink:
        sink.write(failed())
        sink.write(result("a.wav"))
        with pytest.raises(UsageError, match="one input only"):
            sink.write(result("b.wav"))
    assert "angry" in path.read_text()


def test_no_timeline_no_file(tmp_path):
    with _open(tmp_path / "o.vtt") as sink:
        sink.write(failed())
    assert os.listdir(tmp_path) == []


def test_no_cues_without_classes(tmp_path):
    from overtone.results import SegmentResult
    from overtone.types import Span

    bare = result(label=None, scores=None, segments=[SegmentResult(Span(0, 9), None, None, None)])
    assert _write(tmp_path / "o.vtt", bare) == "WEBVTT\n\n"


# One file per input


def test_one_file_per_input(tmp_path):
    items = [
        result("a/call.mp3"),
        result("b/call.wav"),
        failed(),
        result("x.wav", channel=0, channels=2),
        result("x.wav", channel=1, channels=2),
        result("x.ch0.wav"),
    ]
    with _open(tmp_path / "out" / "{name}.srt", many=True) as sink:
        for item in items:
            sink.write(item)
    names = ["call-2.srt", "call.srt", "x.ch0-2.srt", "x.ch0.srt", "x.ch1.srt"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    with _open(tmp_path / "out", format="csv") as sink:
        sink.write(failed())
    assert "not_audio" in (tmp_path / "out" / "broken.csv").read_text()


@pytest.mark.parametrize(
    "source", ["../../etc/passwd", "/..", "", "...", "a\0b", "-", "https://h/p/x.mp3?a=../b", "é" * 300]
)
def test_names_stay_in_their_folder(source):
    name = base_name(result(source))
    assert name == os.path.basename(name)
    assert name not in ("", ".", "..")
    assert len(os.fsencode(name)) <= 180
    assert base_name(result("-")) == "stdin"
    assert base_name(result("https://h/p/x.mp3?a=../b")) == "x"


@given(st.lists(st.text(max_size=8), max_size=8, unique=True), st.data())
def test_names_are_safe_and_different(sources, data):
    names = OutputNames()
    ids = [data.draw(st.none() | st.text(max_size=4)) for _ in sources]
    given_names = [names.claim(result(s, id=i)) for s, i in zip(sources, ids, strict=True)]
    assert len({name.casefold() for name in given_names}) == len(sources)
    for name in given_names:
        assert name == os.path.basename(name)
        assert not name.startswith(".")
        name.encode("utf-8")


# Choosing


def test_unknown_formats_list_the_known_ones(tmp_path):
    for path, form in (("out.xml", None), ("out", None), (None, "xml"), ("out.csv", "docx")):
        with pytest.raises(UsageError, match="jsonl") as caught:
            _open(path and tmp_path / path, format=form)
        assert all(form in str(caught.value) for form in FORMATS)
    with pytest.raises(UsageError, match="is a folder"):
        _open(tmp_path)


def test_format_beats_the_ending(tmp_path):
    assert json.loads(_write(tmp_path / "out.txt", result(), format=".JSONL"))["source"] == "call.mp3"


@pytest.mark.parametrize("path", ["out.csv", "{name}.jsonl", None])
def test_only_one_jsonl_is_appended_to(tmp_path, path):
    with pytest.raises(UsageError, match="jsonl"):
        _open(path and tmp_path / path, append=True)
