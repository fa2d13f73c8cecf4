"""Transcripts in every output format, read back by its own rules."""

import csv
import io
import itertools
import json
import os
import re
import sys
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from helpers.results import failed_transcript, result, sentence, transcript, words
from overtone.cli import console as screen
from overtone.cli.transcript_table import TranscriptTable
from overtone.errors import UsageError
from overtone.output.formats import FORMATS, open_sink
from overtone.output.formats.subtitle_layout import MAX_WIDTH
from overtone.output.formats.subtitle_splitting import MAX_MS, pieces
from overtone.output.formats.subtitles import cues
from overtone.output.records import DETAILS, to_record
from overtone.results import Emotion, Sentence, Word


def _open(path, **options):
    return open_sink(None if path is None else str(path), **({"granularity": "word"} | options))


def _write(path, *results, **options):
    with _open(path, **options) as sink:
        for item in results:
            sink.write(item)
    return Path(path).read_bytes().decode()


# JSON and tables


@pytest.mark.parametrize("detail", DETAILS)
def test_json(tmp_path, detail):
    items = [transcript("a.wav"), failed_transcript(), transcript("c.wav", sentences=[], text="")]
    expected = [to_record(item, granularity=detail) for item in items]
    lines = _write(tmp_path / "o.jsonl", *items, granularity=detail).splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert json.loads(_write(tmp_path / "o.json", *items, granularity=detail)) == expected


SILENT = {"text": "", "sentences": [], "language": None}


@pytest.mark.parametrize("detail", ["sentence", "word"])
def test_csv_has_a_row_for_each_sentence(tmp_path, detail):
    silent = transcript("s.wav", **SILENT)
    text = _write(tmp_path / "o.csv", transcript(channel=1, id="u"), failed_transcript(), silent, granularity=detail)
    assert text.count("\r\n") == text.count("\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    middle = ["start", "end", "speaker", "emotion", "emotion_score", "language", "event", "confidence", "text"]
    assert list(rows[0]) == ["source", "id", "channel", *middle, "error_code", "error_message"]
    assert list(rows[0].values())[:9] == ["call.mp3", "u", "1", "0.500", "2.500", "0", "neutral", "", "en"]
    assert list(rows[1].values())[3:12] == [
        "3.000", "4.000", "1", "happy", "0.750000", "zh", "", "0.9000", "是我。",
    ]  # fmt: skip
    assert (rows[2]["event"], rows[2]["speaker"], rows[2]["confidence"]) == ("Laughter", "", "")
    assert (rows[3]["error_code"], rows[3]["start"], rows[3]["text"]) == ("not_audio", "", "")
    assert (rows[4]["start"], rows[4]["end"], rows[4]["text"]) == ("0.000", "6.000", "")
    assert len(rows) == 5


def test_csv_of_whole_texts(tmp_path):
    text = _write(tmp_path / "o.csv", transcript(), failed_transcript(), granularity="text")
    header, first, second = csv.reader(io.StringIO(text))
    own = ["duration", "speakers", "language", "text"]
    assert header == ["source", "id", "channel", *own, "error_code", "error_message"]
    assert first[3:] == ["6.000", "2", "en", "Hello, who is it? 是我。", "", ""]
    assert second[3:8] == ["0.000", "", "", "", "not_audio"]


@given(text=st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_csv_text_comes_back_and_is_no_formula(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("c") / "o.csv"
    written = _write(path, transcript(sentences=[Sentence(0, 1, text)]), granularity="sentence")
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    plain = text.encode("utf-8", "backslashreplace").decode()
    assert row["text"] in (plain, "'" + plain)
    assert row["text"] == "-" or not row["text"].startswith(tuple("=+-@"))


def test_parquet_has_types_words_and_models(tmp_path, monkeypatch):
    monkeypatch.setattr("overtone.output.formats.parquet.ROW_GROUP_ROWS", 6)
    path = tmp_path / "o.parquet"
    bad = transcript("b\udc80.wav", sentences=[Sentence(0, 1, "x\udc80", (Word("x\udc80", None, None, None),))])
    with _open(path) as sink:
        for item in (transcript(), bad, failed_transcript(), transcript("s.wav", **SILENT)):
            sink.write(item)
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == 2  # a word counts as a row
    about = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    assert about["overtone.granularity"] == "word"
    assert about["overtone.models.speakers"] == "campplus"
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["speaker"] == "int32"
    assert (types["start"], types["confidence"]) == ("double", "float")
    assert re.fullmatch(
        r"list<\w+: struct<text: string, start: double, end: double, confidence: float, speaker: int32>>",
        types["words"],
    )
    rows = file.read().to_pylist()
    assert [word["text"] for word in rows[0]["words"]] == ["Hello", "who", "is", "it"]
    assert rows[0]["words"][1]["start"] == 1.0
    assert rows[0]["words"][1]["confidence"] == pytest.approx(0.9)
    assert rows[3]["text"] == rows[3]["words"][0]["text"] == "x\\udc80"
    assert rows[3]["words"][0]["start"] is None
    assert (rows[4]["error_code"], rows[4]["words"]) == ("not_audio", None)
    assert rows[5]["words"] == []
    assert "words" not in pq.read_table(_path_of_sentences(tmp_path)).column_names


def _path_of_sentences(folder):
    with _open(folder / "s.parquet", granularity="sentence") as sink:
        sink.write(transcript())
    return folder / "s.parquet"


def test_a_sink_takes_one_kind(tmp_path):
    for kind in ("jsonl", "json", "csv", "parquet", "txt"):
        with pytest.raises(TypeError), _open(tmp_path / f"t.{kind}") as sink:
            sink.write(result())
        with pytest.raises(TypeError), _open(tmp_path / f"e.{kind}", granularity="segment") as sink:
            sink.write(transcript())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_a_file_per_input(tmp_path, kind):
    items = [transcript("a/x.wav"), transcript("b/x.wav", **SILENT), failed_transcript("y.wav")]
    with _open(tmp_path, format=kind, many=True) as sink:
        for item in items:
            sink.write(item)
    expected = {f"x.{kind}", f"x-2.{kind}"} | ({f"y.{kind}"} if kind in ("jsonl", "json", "csv", "parquet") else set())
    assert set(os.listdir(tmp_path)) == expected


# Timelines


def test_plain_text(tmp_path):
    assert _write(tmp_path / "o.txt", transcript()) == "Speaker 0: Hello, who is it?\nSpeaker 1: 是我。\n"
    alone = transcript(sentences=[sentence(0, 1, "One\n two."), sentence(1, 2, " Three. ")], speakers=None)
    assert _write(tmp_path / "o.txt", alone, granularity="text") == "One two.\nThree.\n"
    assert _write(tmp_path / "o.txt", transcript(**SILENT)) == ""


def test_srt(tmp_path):
    assert _write(tmp_path / "o.srt", transcript()) == (
        "1\n00:00:00,500 --> 00:00:02,736\nSpeaker 0: [neutral] Hello, who is it?\n\n"
        "2\n00:00:03,000 --> 00:00:04,471\nSpeaker 1: [happy] 是我。\n\n"
    )


def test_vtt(tmp_path):
    tricky = sentence(3600, 3601, "a --> b & <i>c\n\nd", emotion=Emotion("<unk>"))
    assert _write(tmp_path / "o.vtt", transcript(sentences=[transcript().sentences[0], tricky])) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.736\n<v Speaker 0>[neutral] Hello, who is it?\n\n"
        "01:00:00.000 --> 01:00:01.000\n[&lt;unk&gt;] a --&gt; b &amp; &lt;i&gt;c d\n\n"
    )
    assert _write(tmp_path / "o.vtt", transcript(**SILENT)) == "WEBVTT\n\n"


def test_srt_has_no_tags_and_no_second_arrow(tmp_path):
    text = _write(tmp_path / "o.srt", transcript(sentences=[Sentence(0, 1, "a --> b\n\n2\n<i>c")]))
    assert text == "1\n00:00:00,000 --> 00:00:01,000\na --› b 2 ‹i›c\n\n"


@pytest.mark.parametrize("ending", ["srt", "vtt", "txt"])
def test_one_timeline_to_a_file(tmp_path, ending):
    with pytest.raises(UsageError, match=re.escape("{name}")):
        _open(tmp_path / f"o.{ending}", many=True)
    with _open(tmp_path / f"f.{ending}") as sink:
        sink.write(failed_transcript())
    assert os.listdir(tmp_path) == []


def test_rttm_has_turns(tmp_path):
    said = [
        Sentence(0, 1, "a", speaker=0),
        Sentence(1.0004, 2, "b", speaker=0),
        Sentence(2, 2.5, "", event="BGM"),
        Sentence(2.5, 3, "c", speaker=0),
        Sentence(2.9, 3.25, "d", speaker=1),
        Sentence(3.549, 4, "e", speaker=1),
        Sentence(4.3, 4.3, "f", speaker=1),
    ]
    first, second = transcript("my call.mp3", sentences=said), transcript("b/my call.wav", channel=1)
    text = _write(tmp_path / "o.rttm", first, failed_transcript(), second)
    assert text.splitlines() == [
        "SPEAKER my_call 1 0.000 2.000 <NA> <NA> Speaker_0 <NA> <NA>",
        "SPEAKER my_call 1 2.500 0.500 <NA> <NA> Speaker_0 <NA> <NA>",
        "SPEAKER my_call 1 2.900 1.100 <NA> <NA> Speaker_1 <NA> <NA>",
        "SPEAKER my_call 1 4.300 0.001 <NA> <NA> Speaker_1 <NA> <NA>",
        "SPEAKER my_call-2 2 0.500 2.000 <NA> <NA> Speaker_0 <NA> <NA>",
        "SPEAKER my_call-2 2 3.000 1.000 <NA> <NA> Speaker_1 <NA> <NA>",
    ]


def test_rttm_needs_speakers(tmp_path):
    with pytest.raises(UsageError, match="speakers=True") as caught:
        _open(tmp_path / "o.rttm", speakers=False)
    assert caught.value.code == "no_speakers"
    assert os.listdir(tmp_path) == []
    with _open(tmp_path / "o.rttm") as sink, pytest.raises(UsageError, match="speakers=True"):
        sink.write(transcript(speakers=None))
    assert _write(tmp_path / "e.rttm", result(), granularity="segment", speakers=False)


# Long sentences


def _width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _bare(text):
    return "".join(text.split())


def test_a_short_sentence_is_one_piece():
    (piece,) = pieces(sentence(1.0004, 3, "  Just\n this. "))
    assert (piece.start_ms, piece.end_ms, piece.text) == (1000, 3000, "Just this.")
    assert pieces(sentence(0, 1, " \n")) == []


def test_pieces_start_and_end_with_their_words():
    text = "When the rain had stopped, we went down to the harbour, where the boats lay, and counted every one of them."
    said = sentence(10, 20, text)
    first, second = pieces(said)
    assert first.text == "When the rain had stopped,\nwe went down to the harbour,"
    assert second.text == "where the boats lay,\nand counted every one of them."
    spoken = {word.text: word for word in said.words}
    assert (first.start_ms, first.end_ms) == (10_000, round(spoken["harbour"].end * 1000))
    assert (second.start_ms, second.end_ms) == (round(spoken["where"].start * 1000), 20_000)


def test_pauses_stay_pauses():
    spoken = (*words("one two", 0, 1), *words("three four", 9, 10))
    said = sentence(0, 10, "One two three four.", words=spoken)
    assert [(p.start_ms, p.end_ms, p.text) for p in pieces(said)] == [
        (0, 1000, "One two"),
        (9000, 10_000, "three four."),
    ]


def test_chinese_is_cut_between_characters_and_counted_double():
    text = "我想问一下我的订单到哪里了，已经等了三天了还没有收到任何消息，请你们尽快帮我查一下好吗，谢谢。"
    found = pieces(sentence(0, 9, text))
    assert [piece.text for piece in found] == [
        "我想问一下我的订单到哪里了，\n已经等了三天了还没有收到任何消息，",
        "请你们尽快帮我查一下好吗，谢谢。",
    ]


@pytest.mark.parametrize(
    "text", ["왔습니다 " * 40, "won't “stop” (now) " * 10, "Bonjour ! Ça va ? " * 12, "他说：“好，好。” " * 12]
)
def test_words_and_their_marks_stay_together(text):
    found = [piece.text for piece in pieces(Sentence(0, 30, text))]
    assert _bare("".join(found)) == _bare(text)
    for piece in found:
        assert piece[0] not in "!?，。”)'"
        assert piece[-1] not in "“("
    if "왔" in text:
        assert {word for piece in found for word in piece.split()} == {"왔습니다"}


def test_a_word_is_never_cut():
    (piece,) = pieces(Sentence(0, 60, "x" * 500))
    assert piece.text == "x" * 500


def test_times_that_are_not_known_are_shared_out():
    silent = tuple(Word(text, None, None, None) for text in ("aaaa", "bbbb", "cccc", "dddd"))
    for spoken in (silent, ()):
        said = Sentence(0, 16, "Aaaa bbbb cccc dddd", spoken)
        assert [(p.start_ms, p.end_ms) for p in pieces(said)] == [
            (0, 4000),
            (4000, 8000),
            (8000, 12_000),
            (12_000, 16_000),
        ]


def test_numbers_spelled_otherwise_keep_the_rest_in_place():
    spoken = words("that will be twenty five euros and ninety nine cents please thank you", 0, 12)
    first, *_, last = pieces(Sentence(0, 12, "That will be 25.99 €, please. Thank you.", spoken))
    assert first.start_ms == 0
    assert last.end_ms == 12_000


def test_who_speaks_at_once_takes_turns():
    said = [
        sentence(0, 12, "One two three four five six seven eight nine ten eleven twelve", speaker=0),
        sentence(3, 4, "Aha.", speaker=1),
        sentence(3, 4, "Mm.", speaker=2),
    ]
    found = list(cues(transcript(sentences=said)))
    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(0, 3000), (3000, 3300), (3300, 4124), (7000, 12_000)]


_TEXTS = st.lists(
    st.text("ab，。好'", min_size=1, max_size=12) | st.text(min_size=1, max_size=8), min_size=1, max_size=60
).map(" ".join)


@st.composite
def _sentences(draw):
    """Sentences with words that may fit them, may have no times, or may be of another text."""
    found, start = [], 0.0
    for _ in range(draw(st.integers(0, 5))):
        start += draw(st.floats(0, 3))
        end = start + draw(st.floats(0, 40))
        text = draw(_TEXTS)
        spoken = draw(st.sampled_from([words(text, start, end), words("an other text", start - 1, end + 1), ()]))
        found.append(Sentence(start, end, text, spoken, speaker=draw(st.none() | st.integers(0, 3))))
    return found


@given(_sentences())
def test_cues_are_ordered_apart_and_whole(sentences):
    found = list(cues(transcript(sentences=sentences)))
    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(found))
    said, shown = (
        "".join(sorted(_bare("".join(texts)))) for texts in ([s.text for s in sentences], [c.text for c in found])
    )
    assert said == shown


@given(_sentences())
def test_pieces_fit(sentences):
    for said in sentences:
        found = pieces(said)
        assert _bare("".join(piece.text for piece in found)) == _bare(said.text)
        assert all(one.start_ms <= other.start_ms for one, other in itertools.pairwise(found))
        for piece in found:
            assert round(said.start * 1000) <= piece.start_ms <= piece.end_ms <= round(said.end * 1000)
            # What cannot be cut, in a text of these letters, has no blank and no Chinese in its inside.
            if _width(piece.text) > MAX_WIDTH or piece.end_ms - piece.start_ms > MAX_MS:
                assert not re.search(r"[ab好] +[ab好]|[ab好]好", piece.text)


@pytest.mark.parametrize("ending", ["srt", "vtt"])
@given(_sentences())
def test_subtitles_are_read_back(tmp_path_factory, ending, sentences):
    value = transcript(sentences=sentences)
    text = _write(tmp_path_factory.mktemp("s") / f"o.{ending}", value)
    blocks = text.removeprefix("WEBVTT\n\n").split("\n\n")[:-1]
    assert len(blocks) == len(list(cues(value)))
    for number, block in enumerate(blocks, start=1):
        lines = block.split("\n")
        times, *shown = lines[1:] if ending == "srt" else lines
        assert ending == "vtt" or lines[0] == str(number)
        assert re.fullmatch(r"\d\d:\d\d:\d\d[,.]\d{3} --> \d\d:\d\d:\d\d[,.]\d{3}", times)
        assert len(shown) in (1, 2)
        assert all(line and "-->" not in line for line in shown)


# On a terminal


def _shown(monkeypatch, *items, width=60):
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    monkeypatch.setattr(screen, "out", console)
    with TranscriptTable() as sink:
        for item in items:
            sink.write(item)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_for_each_sentence(monkeypatch):
    long = sentence(3700, 3705, "It goes on and on and on, and will not end here.", speaker=1)
    value = transcript("[a].mp3", sentences=[*transcript().sentences, long], warnings=("cut [short]",))
    assert _shown(monkeypatch, value) == [
        "[a].mp3  6.0 s  en  2 speakers",
        "  cut [short]",
        "     0:00.5  Speaker 0  neutral   Hello, who is it?",
        "     0:03.0  Speaker 1  happy     是我。",
        "     0:05.0             Laughter",
        "  1:01:40.0  Speaker 1            It goes on and on and on,",
        "                                  and will not end here.",
    ]


def test_no_more_columns_than_there_is_to_say(monkeypatch):
    plain = transcript(sentences=[sentence(0, 1, "Hi \x1b[31m[red]")], speakers=None, language=None)
    assert _shown(monkeypatch, plain) == ["call.mp3  6.0 s", r"  0:00.0  Hi \x1b[31m[red]"]
    assert _shown(monkeypatch, transcript(**SILENT)) == ["call.mp3  6.0 s  nobody speaks"]
    assert _shown(monkeypatch, failed_transcript(channel=0)) == ["broken.wav channel 0  broken.wav: not audio"]


def test_many_sentences_are_all_shown_in_line(monkeypatch):
    said = [sentence(i * 10, i * 10 + 5, f"Sentence {i}.", speaker=i % 11) for i in range(120)]
    lines = _shown(monkeypatch, transcript(sentences=said))
    assert len(lines) == 121
    assert {line.index("Sentence") for line in lines[1:]} == {23}


def test_standard_output(capfdbinary, monkeypatch):
    with _open(None, format="vtt") as sink:
        sink.write(transcript())
    assert capfdbinary.readouterr().out.startswith(b"WEBVTT\n\n00:00:00.500")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with _open(None) as sink:
        sink.write(transcript())
    assert json.loads(sys.stdout.getvalue())["text"]
