"""`overtone emotion`: what comes out, in every format, and what its options change."""

from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import EXAMPLES, voice
from helpers.command import answers, csv_rows, finish, lines, start, well_formed
from helpers.oracles.verdict import holds_verdict
from overtone.models.emotion2vec.random_checkpoint import LABELS


def test_json_lines_in_a_pipe(emotion):
    code, out, err = emotion("a.wav", "b.flac")
    records = lines(out)
    assert code == 0
    assert [record["source"] for record in records] == ["a.wav", "b.flac"]
    assert [record["duration"] for record in records] == [2.0, 1.5]
    for record in records:
        well_formed(record)
        assert (record["precision"], record["device"]) == ("fp32", "cpu")
        assert record["segments"][0]["start"] == 0.0
    assert re.fullmatch(r"2 inputs, 3\.5 s of audio in .+ s, \d+ audio hours per hour\n", err)


def test_quiet_says_nothing(emotion):
    assert emotion("-q", "a.wav")[2] == ""


def seen_on_a_terminal(*command: object, cwd: Path, **streams: int) -> tuple[int, str, str]:
    """Exit code, what a terminal got, and standard error where that is none. streams: names of those it has."""
    master, slave = pty.openpty()
    child = start(*command, cwd=cwd, **dict.fromkeys(streams, slave))
    os.close(slave)
    seen = b""
    try:
        while data := os.read(master, 65_536):
            seen += data
    except OSError:  # what Linux says when the other end is closed
        pass
    os.close(master)
    code, _, err = finish(child)
    return code, seen.decode(), err


def plain(text: str) -> str:
    """Text of a terminal without colors and movements."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text)


def test_results_and_their_progress_share_a_terminal(sounds, small_checkpoint):
    names = ["a.wav", "b.flac", "deep/c.wav"]
    command = ("emotion", "--model", small_checkpoint, "--granularity", "utterance", *names)
    code, seen, _ = seen_on_a_terminal(*command, cwd=sounds, stdout=1, stderr=1)
    assert code == 0
    assert "loading" in seen
    # Each row begins where a line was begun or cleared, and nothing but it is on that line.
    rows = [line.split("\r")[-1] for line in plain(seen).replace("\r\n", "\n").split("\n")]
    for name in names:
        assert [row for row in rows if row.startswith(f"{name}  ")], seen
    assert rows[-2].startswith("3 inputs, ")  # the summary is the last of it


def test_a_table_on_a_terminal(sounds, small_checkpoint):
    cut = ("--segment", "window", "--window", "1")
    command = ("emotion", "--model", small_checkpoint, "a.wav", "deep/broken.wav", *cut)
    code, seen, err = seen_on_a_terminal(*command, cwd=sounds, stdout=1)
    text = plain(seen)
    assert code == 1
    assert re.search(r"^a\.wav {2}2\.0 s {2}\w+ +0\.\d\d █+░+\r?$", text, re.MULTILINE)
    assert re.search(r"^ {2}\d+ % \w+(, \d+ % \w+)* of [12]\.\d s of speech\r?$", text, re.MULTILINE)
    assert "deep/broken.wav: not audio" in text.replace("\r\n", " ").replace("\n", " ")
    assert "{" not in text
    assert "error:" not in err  # the table says it


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "rttm"])
def test_every_format_that_holds_many_inputs(emotion, here, ending):
    code, out, _ = emotion(".", "-o", f"made/out.{ending}")
    assert (code, out) == (1, "")
    path = here / "made" / f"out.{ending}"
    # What failed can be tried again: the results of the others are kept for that where the output does not have them.
    side = [] if ending == "jsonl" else [f"{path.name}.resume.jsonl"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, *side]
    names = {"a.wav", "b.flac", "deep/broken.wav", "deep/c.wav"}
    if ending == "jsonl":
        sources = [record["source"] for record in lines(path.read_text())]
    elif ending == "json":
        sources = [record["source"] for record in json.loads(path.read_text())]
    elif ending == "csv":
        rows = csv_rows(path)
        assert [row["error_code"] for row in rows].count("not_audio") == 1
        sources = [row["source"] for row in rows]
    elif ending == "parquet":
        from pyarrow import parquet

        sources = parquet.read_table(path)["source"].to_pylist()
    else:
        assert all(line.startswith("SPEAKER ") for line in path.read_text().splitlines())
        sources = [line.split()[1] for line in path.read_text().splitlines()]
        names = {"a", "b", "c"}
    assert {os.path.normpath(source) for source in sources} == names


@pytest.mark.parametrize(
    ("ending", "first"),
    [
        ("srt", r"1\n00:00:00,000 --> 00:00:02,000\n\w+ 0\.\d\d\n"),
        ("vtt", r"WEBVTT\n\n00:00:00\.000 --> 00:00:02\.000\n\w+ 0\.\d\d\n"),
        ("txt", r"0\.000000\t2\.000000\t\w+.*\n"),
        ("rttm", r"SPEAKER a 1 0\.000 2\.000 <NA> <NA> \w+ 0\.\d+ <NA>\n"),
    ],
)
def test_every_format_of_a_timeline(emotion, here, ending, first):
    assert emotion("a.wav", "-o", f"out.{ending}")[0] == 0
    assert re.match(first, (here / f"out.{ending}").read_text())


def test_a_file_for_each_input(emotion, here):
    assert emotion(".", "-o", "out/{name}.srt")[0] == 1
    made = ["a.srt", "b.srt", "c.srt", "{name}.srt.resume.jsonl"]  # the last, because one input failed
    assert sorted(path.name for path in (here / "out").iterdir()) == made
    assert emotion("a.wav", "b.flac", "-o", "out/", "--format", "vtt")[0] == 0
    assert {"a.vtt", "b.vtt"} <= {path.name for path in (here / "out").iterdir()}


@pytest.mark.parametrize("inputs", [("a.wav", "b.flac"), (".",), ("@list.txt",), ("a.wav", "--channels", "split")])
def test_many_inputs_do_not_fit_a_timeline_and_nothing_is_run(emotion, here, inputs):
    (here / "list.txt").write_text("a.wav\nb.flac\n")
    code, _, err = emotion(*inputs, "-o", "out.srt")
    assert code == 2
    assert "{name}.srt" in err
    assert not list(here.glob("out.srt*"))


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "srt", "vtt", "txt", "rttm"])
def test_format_of_standard_output_is_that_of_a_file(emotion, here, form):
    code, out, _ = emotion("-q", "a.wav", "--format", form)
    assert code == 0
    assert emotion("-q", "a.wav", "-o", f"out.{form}")[0] == 0
    written = (here / f"out.{form}").read_bytes().decode()
    strip = re.compile(r'"timings": \{.*?\}')
    assert strip.sub("", out.replace("\r\n", "\n")) == strip.sub("", written.replace("\r\n", "\n"))


def test_channels_split(emotion):
    code, out, _ = emotion("-q", "deep/c.wav", "a.wav", "--channels", "split")
    records = lines(out)
    assert code == 0
    assert [(r["source"], r["channel"], r["channels"]) for r in records] == [
        ("deep/c.wav", 0, 2),
        ("deep/c.wav", 1, 2),
        ("a.wav", 0, 1),
    ]
    assert records[0]["scores"] != records[1]["scores"]


def test_granularity(emotion):
    found = {
        fine: lines(emotion("-q", "a.wav", "--granularity", fine)[1])[0] for fine in ("utterance", "segment", "frame")
    }
    assert "segments" not in found["utterance"]
    assert "frames" not in found["segment"]
    frames = found["frame"]["frames"]
    # Frames see 25 ms and come every 20 ms.
    assert len(frames["starts"]) == len(frames["scores"]) == (2.0 - 0.025) // 0.02 + 1
    assert {found[fine]["label"] for fine in found} == {found["segment"]["label"]}
    for row in frames["scores"]:
        assert sum(row) == pytest.approx(1, abs=1e-3)  # nine roundings to four decimals


CUTS = [
    (),
    ("--max-segment", "3"),
    ("--channels", "split"),
    ("--segment", "window", "--window", "4"),
    ("--segment", "window", "--window", "4", "--hop", "3"),
    ("--keep-silence",),
]


@pytest.mark.parametrize("cut", CUTS, ids=" ".join)
def test_the_verdict_on_a_real_call_follows_from_its_segments(emotion, cut):
    code, out, _ = emotion("-q", "--model", "tiny", str(EXAMPLES / "call.mp3"), *cut)
    assert code == 0
    for record in lines(out):
        assert len({entry["label"] for entry in record["segments"]}) > 3
        holds_verdict(record)
        spoken = [entry["speech_s"] for entry in record["segments"]]
        if "--hop" in cut:  # windows that overlap each count what they share
            assert record["speech_s"] < sum(spoken)
        else:
            assert record["speech_s"] == pytest.approx(sum(spoken), abs=0.0005 * len(spoken))
        assert record["pooled"]["scores"] != record["scores"]


def test_the_verdict_is_the_same_without_the_timeline_and_in_a_table(emotion, here):
    call = ("-q", "--model", "tiny", str(EXAMPLES / "call.mp3"))
    (whole,) = lines(emotion(*call)[1])
    (bare,) = lines(emotion(*call, "--granularity", "utterance")[1])
    for key in ("label", "score", "scores", "shares", "speech_s", "pooled"):
        assert bare[key] == whole[key], key
    assert emotion(*call, "--granularity", "utterance", "-o", "out.csv")[0] == 0
    (row,) = csv_rows(here / "out.csv")
    pooled = whole["pooled"]
    assert (row["label"], row["pooled_label"]) == (whole["label"], pooled["label"])
    for name in ("speech_s", "score"):
        assert float(row[name]) == whole[name]
    assert float(row["pooled_score"]) == pooled["score"]
    for label in whole["scores"]:
        assert float(row[label]) == whole["scores"][label]
        assert float(row[f"share_{label}"]) == whole["shares"][label]
        assert float(row[f"pooled_{label}"]) == pooled["scores"][label]


def test_embeddings(emotion, here):
    assert emotion("-q", "a.wav", "deep", "--embeddings", "npz", "--granularity", "frame")[0] == 1
    assert sorted(path.name for path in (here / "npz").iterdir()) == ["a.npz", "c.npz"]
    with np.load("npz/a.npz") as arrays:
        assert arrays["embedding"].shape == (48,)
        assert arrays["frames"].shape == (len(arrays["starts_s"]), 48)
        np.testing.assert_allclose(arrays["frames"].mean(0), arrays["embedding"], atol=1e-5)  # a mean in float32
    assert emotion("-q", "a.wav", "--embeddings", "per-file")[0] == 0
    with np.load("per-file/a.npz") as arrays:
        assert "frames" not in arrays


def test_plot(emotion, here):
    assert emotion("-q", "a.wav", "deep/c.wav", "deep/broken.wav", "--plot", "png")[0] == 1
    from matplotlib.image import imread

    assert sorted(path.name for path in (here / "png").iterdir()) == ["a.png", "c.png"]
    pictures = [imread(here / "png" / name) for name in ("a.png", "c.png")]
    for picture in pictures:
        assert picture.shape[0] > 300
        assert picture.shape[1] > 800
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50
    assert not np.array_equal(*pictures)


def test_labels_as_published(emotion):
    record = lines(emotion("-q", "a.wav", "--labels", "published")[1])[0]
    assert list(record["scores"]) == LABELS


def test_windows(emotion):
    record = lines(emotion("-q", "a.wav", "--segment", "window", "--window", "1", "--hop", "0.5")[1])[0]
    starts = [segment["start"] for segment in record["segments"]]
    assert starts[:3] == [0.0, 0.5, 1.0]
    assert all(segment["end"] - segment["start"] <= 1.5 for segment in record["segments"])
    assert record["segments"][-1]["end"] == 2.0


def test_context_full(emotion, here):
    (here / "long.wav").write_bytes(audio_files.wav16(voice(12.0)[None]))
    judged = ["-q", "long.wav", "--keep-silence", "--max-segment", "4"]
    whole = lines(emotion(*judged, "--context", "full")[1])[0]
    cut = lines(emotion(*judged)[1])[0]
    assert [(s["start"], s["end"]) for s in whole["segments"]] == [(0.0, 12.0)]
    assert len(cut["segments"]) >= 3
    assert max(s["end"] - s["start"] for s in cut["segments"]) <= 4.0


def test_two_runs_give_the_same(emotion):
    first, second = (answers(lines(emotion("-q", ".")[1])) for _ in range(2))
    assert first == second
