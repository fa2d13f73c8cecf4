"""The command line: what is typed, what comes out, and the exit code."""

from __future__ import annotations

import csv
import itertools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from helpers.command import COMMAND, answers, environment, finish, lines, start
from overtone import EmotionRecognizer
from overtone.cli.app import run
from overtone.models.emotion2vec.random_checkpoint import LABELS
from overtone.options.emotion import HELP
from overtone.system.machine import rss_bytes
from overtone.system.profiler import STAGES

CLASSES = ["angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown"]
MANY = 400
"""Files of a run that is to be interrupted: several seconds of work for the small network."""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a.wav (2 s), b.flac (1.5 s), deep/c.wav (2 s, stereo), deep/broken.wav, notes.txt."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "deep").mkdir()
    (folder / "a.wav").write_bytes(audio_files.wav16(voice(2.0)[None]))
    (folder / "b.flac").write_bytes(audio_files.encoded(voice(1.5, 1)[None], 16_000, "flac", "flac"))
    (folder / "deep" / "c.wav").write_bytes(audio_files.wav16(np.stack([voice(2.0, 2), voice(2.0, 3)])))
    (folder / "deep" / "broken.wav").write_bytes(b"this is no audio" * 30)
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def here(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, as the current one."""
    folder = tmp_path / "here"
    shutil.copytree(sounds, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def emotion(here: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`overtone emotion --model … ARGS` in this process: exit code, standard output and error."""
    monkeypatch.setenv("OVERTONE_THREADS", "1")  # as in `command.environment`

    def call(*arguments: str, command: str = "emotion") -> tuple[int, str, str]:
        code = run([command, "--model", str(small_checkpoint), *arguments])
        return code, *capsys.readouterr()

    return call


def _well_formed(record: dict) -> None:
    assert next(iter(record)) == "source"
    assert list(record)[-1] == "error"
    if record["error"] is not None:
        assert set(record["error"]) == {"code", "message"}
        assert not {"label", "score", "scores", "segments"} & set(record)
        return
    assert list(record["scores"]) == CLASSES
    assert sum(record["scores"].values()) == pytest.approx(1, abs=1e-5)  # nine roundings to six decimals
    assert record["score"] == max(record["scores"].values()) == record["scores"][record["label"]]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# What comes out


def test_json_lines_in_a_pipe(emotion):
    code, out, err = emotion("a.wav", "b.flac")
    records = lines(out)
    assert code == 0
    assert [record["source"] for record in records] == ["a.wav", "b.flac"]
    assert [record["duration"] for record in records] == [2.0, 1.5]
    for record in records:
        _well_formed(record)
        assert (record["precision"], record["device"]) == ("fp32", "cpu")
        assert record["segments"][0]["start"] == 0.0
    assert re.fullmatch(r"2 inputs, 3\.5 s of audio in .+ s, \d+ audio hours per hour\n", err)


def test_quiet_says_nothing(emotion):
    assert emotion("-q", "a.wav")[2] == ""


def test_a_table_on_a_terminal(sounds, small_checkpoint):
    master, slave = pty.openpty()
    child = start("emotion", "--model", small_checkpoint, "a.wav", "deep/broken.wav", cwd=sounds, stdout=slave)
    os.close(slave)
    seen = b""
    try:
        while data := os.read(master, 65_536):
            seen += data
    except OSError:  # what Linux says when the other end is closed
        pass
    os.close(master)
    code, _, err = finish(child)
    text = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", seen).decode()
    assert code == 1
    assert re.search(r"^a\.wav {2}2\.0 s {2}\w+ +0\.\d\d █+░+\r?$", text, re.MULTILINE)
    assert "deep/broken.wav: not audio" in text.replace("\r\n", " ").replace("\n", " ")
    assert "{" not in text
    assert "error:" not in err  # the table says it


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "rttm"])
def test_every_format_that_holds_many_inputs(emotion, here, ending):
    code, out, _ = emotion(".", "-o", f"made/out.{ending}")
    assert (code, out) == (1, "")
    path = here / "made" / f"out.{ending}"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    names = {"a.wav", "b.flac", "deep/broken.wav", "deep/c.wav"}
    if ending == "jsonl":
        sources = [record["source"] for record in lines(path.read_text())]
    elif ending == "json":
        sources = [record["source"] for record in json.loads(path.read_text())]
    elif ending == "csv":
        rows = _rows(path)
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
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.srt", "b.srt", "c.srt"]
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


# Inputs


def test_a_failed_input_keeps_its_line_and_the_rest_is_done(emotion):
    code, out, err = emotion("missing.wav", "a.wav", "deep/broken.wav", "b.flac")
    records = lines(out)
    assert code == 1
    assert [record["source"] for record in records] == ["missing.wav", "a.wav", "deep/broken.wav", "b.flac"]
    codes = [record["error"] and record["error"]["code"] for record in records]
    assert codes == ["not_found", None, "not_audio", None]
    for record in records:
        _well_formed(record)
    assert err.count("error: ") == 2
    assert "missing.wav: no such file" in err
    assert "4 inputs" in err
    assert "2 failed" in err


def test_standard_input(sounds, small_checkpoint):
    child = start("emotion", "-q", "--model", small_checkpoint, "-", stdin=subprocess.PIPE)
    code, out, err = finish(child, data=(sounds / "a.wav").read_bytes())
    assert (code, err) == (0, "")
    (record,) = lines(out)
    assert (record["source"], record["duration"]) == ("-", 2.0)


def test_standard_input_that_is_empty_or_closed(small_checkpoint):
    arguments = ["emotion", "-q", "--model", str(small_checkpoint), "-"]
    empty = finish(start(*arguments))
    closed = finish(start(*arguments, stdin=None, preexec_fn=lambda: os.close(0)))
    for code, out, err in (empty, closed):
        assert code == 1
        assert lines(out)[0]["error"]["code"] == "empty"
        assert "Traceback" not in err


def test_lists(emotion, here):
    (here / "list.txt").write_text("# a comment\na.wav\n\nmissing.wav\ndeep\n")
    code, out, _ = emotion("-q", "@list.txt")
    assert code == 1
    sources = [record["source"] for record in lines(out)]
    assert sources == ["a.wav", "missing.wav", "deep/broken.wav", "deep/c.wav"]


def test_a_list_through_a_pipe_is_read_once(sounds, small_checkpoint):
    """With a progress bar, which looks ahead to see how much is to come."""
    reading, writing = os.pipe()
    os.write(writing, b"a.wav\nb.flac\ndeep/c.wav\n")
    os.close(writing)
    master, slave = pty.openpty()
    child = start(
        *("emotion", "--model", small_checkpoint, f"@/dev/fd/{reading}"), cwd=sounds, stderr=slave, pass_fds=[reading]
    )
    os.close(slave)
    code, out, _ = finish(child)
    os.close(master)
    os.close(reading)
    assert code == 0
    assert [record["source"] for record in lines(out)] == ["a.wav", "b.flac", "deep/c.wav"]


def test_kaldi_scp(emotion, here):
    (here / "wav.scp").write_text("utt1 a.wav\nutt2 b.flac\nutt3 sox a.wav -t wav - |\n")
    code, out, _ = emotion("-q", "wav.scp")
    assert code == 1
    records = lines(out)
    assert [record["id"] for record in records] == ["utt1", "utt2", "utt3"]
    assert records[2]["error"]["code"] == "bad_list"


def test_folders(emotion):
    code, out, _ = emotion("-q", ".")
    assert code == 1
    sources = [os.path.normpath(record["source"]) for record in lines(out)]
    assert sources == ["a.wav", "b.flac", "deep/broken.wav", "deep/c.wav"]


def test_names_of_any_bytes(emotion, here):
    strange = [b"\xff\xfe.wav", b"[bold]:smile:.wav", b"two\nlines.wav", "通话.wav".encode()]
    for name in strange:
        shutil.copy("a.wav", os.fsencode(here / "deep") + b"/" + name)
    code = emotion("-q", "deep", "-o", "out.csv")[0]
    assert code == 1
    rows = _rows(here / "out.csv")
    assert len(rows) == len(strange) + 2
    child = start("plan", "--model", "nowhere/at-all", "deep", cwd=here)
    assert finish(child)[0] == 4


def test_strange_names_on_a_narrow_terminal(here, small_checkpoint):
    for name in (b"\xff.wav", "[bold]:smile:通.wav".encode()):
        shutil.copy("a.wav", os.fsencode(here / "deep") + b"/" + name)
    poor = environment(PYTHONIOENCODING="ascii", LC_ALL="C")
    for arguments in (["plan"], ["plan", "--format", "json"], ["emotion"]):
        code, out, err = finish(start(*arguments, "--model", small_checkpoint, "deep", cwd=here, env=poor))
        assert code == 1  # broken.wav
        assert "Traceback" not in err
        assert "a fault of" not in err
        assert "[bold]:smile:" in out


# Options


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


@pytest.mark.parametrize("option", ["--embeddings", "--plot", "-o"])
def test_a_folder_that_cannot_be_written_is_found_out_first(emotion, here, option):
    (here / "file").write_text("")
    place = "file/x.jsonl" if option == "-o" else "file/x"
    code, out, err = emotion("a.wav", option, place)
    assert (code, out) == (2, "")
    assert f"cannot write {place}" in err


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "inputs"),
        (["a.wav", "--granularty", "frame"], "No such option"),
        (["a.wav", "--granularity", "word"], "utterance"),
        (["a.wav", "--threads", "many"], "--threads"),
        (["a.wav", "--threads", "0"], "--threads is 0; 1 to 1024"),
        (["a.wav", "--max-segment", "nan"], "not a number"),
        (["a.wav", "--max-segment", "1e9"], "1 to 600"),
        (["a.wav", "--hop", "9"], "--hop 9 is longer than --window 4"),
        (["a.wav", "--memory", "lots"], "lots"),
        (["a.wav", "--memory", "-2GiB"], "-2GiB"),
        (["a.wav", "--context", "full", "--batch-size-s", "60"], "leave one out"),
        (["a.wav", "--format", "docx"], "docx"),
        (["a.wav", "-o", "out.docx"], "out.docx"),
        (["a.wav", "-o", "deep"], "folder"),
        (["a.wav", "--resume"], "-o"),
        (["a.wav", "-o", "out.csv", "--resume"], ".jsonl"),
        (["a.wav", "-o", "{name}.jsonl", "--resume"], ".jsonl"),
        (["a.wav", "-o", "out.jsonl", "--resume", "--overwrite"], "leave one out"),
    ],
)
def test_wrong_calls_exit_2_and_say_what_is_wrong(emotion, here, arguments, said):
    before = sorted(here.rglob("*"))
    code, out, err = emotion(*arguments)
    assert code == 2
    assert said in " ".join(err.split())
    assert out == ""
    assert sorted(here.rglob("*")) == before


def test_an_output_that_is_there_is_not_touched(emotion, here):
    for name, hint in (("out.jsonl", "--resume"), ("out.csv", "--overwrite")):
        assert emotion("-q", "a.wav", "-o", name)[0] == 0
        before = (here / name).read_bytes()
        code, _, err = emotion("-q", "b.flac", "-o", name)
        assert code == 2
        assert f"{name} is there already" in err
        assert hint in err
        assert (here / name).read_bytes() == before
        assert emotion("-q", "b.flac", "-o", name, "--overwrite")[0] == 0
        assert b"b.flac" in (here / name).read_bytes()
        assert b"a.wav" not in (here / name).read_bytes()


@pytest.mark.parametrize("output", [("-o", "out/{name}.srt"), ("-o", "out/", "--format", "srt")])
def test_files_of_another_run_are_not_replaced_unasked(emotion, here, output):
    assert emotion("-q", "a.wav", *output)[0] == 0
    (here / "out" / "a.srt").write_text("mine")
    code, _, err = emotion("-q", "b.flac", *output)
    assert code == 2
    assert "a.srt is there already; give --overwrite" in " ".join(err.split())
    assert emotion("-q", "a.wav", *output, "--overwrite")[0] == 0
    assert "mine" not in (here / "out" / "a.srt").read_text()


def test_labels_of_another_kind_are_not_mixed_into_a_file(emotion, here):
    assert emotion("-q", "a.wav", "-o", "out.jsonl")[0] == 0
    code, _, err = emotion("-q", "b.flac", "-o", "out.jsonl", "--resume", "--labels", "published")
    assert code == 2
    assert "of labels angry" in " ".join(err.split())


def test_resume_goes_on(emotion, here):
    assert emotion("a.wav", "missing.wav", "-o", "out.jsonl")[0] == 1
    first = (here / "out.jsonl").read_text().splitlines(keepends=True)[0]
    shutil.copy("a.wav", "missing.wav")
    code, _, err = emotion("a.wav", "missing.wav", "b.flac", "-o", "out.jsonl", "--resume")
    assert code == 0
    assert "1 were done before" in err
    text = (here / "out.jsonl").read_text()
    assert text.startswith(first)  # not run again
    assert [record["source"] for record in lines(text)] == ["a.wav", "missing.wav", "b.flac"]
    code, _, err = emotion("a.wav", "-o", "out.jsonl", "--resume", "--granularity", "frame")
    assert code == 2
    assert "granularity" in err
    assert (here / "out.jsonl").read_text() == text


# Budget, model, device


def test_a_budget_that_is_too_small(emotion):
    code, out, err = emotion("a.wav", "--memory", "100MB")
    assert (code, out) == (3, "")
    assert "95.4 MiB" in err
    assert "--memory" in err
    assert "smaller model" in err


def test_a_budget_that_misses_by_a_little_names_one_that_does(emotion):
    code, out, err = emotion("a.wav", "--memory", "100MB")
    for _ in range(3):
        assert (code, out) == (3, "")
        told = re.search(r"--memory (\d+MiB)", err)
        assert told
        code, out, err = emotion("a.wav", "--memory", told[1])
        if code == 0:
            return
    pytest.fail(f"the budget that was asked for does not do either: {err}")


def test_models_that_cannot_be_had(here, small_checkpoint, capsys):
    (here / "checkpoint").mkdir()
    broken = here / "broken"
    shutil.copytree(small_checkpoint, broken)
    (broken / "model.pt").write_bytes((broken / "model.pt").read_bytes()[:5000])
    for model, code, said in (
        ("no-such-model", 2, "plus-large"),
        ("checkpoint", 4, "config.yaml"),
        ("broken", 4, "broken"),
        ("a.wav", 4, "folder"),
        ("plus-large", 4, "models pull"),
        ("nobody/nothing", 4, "models pull"),
    ):
        assert run(["emotion", "a.wav", "--model", model]) == code, model
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert said in err


def test_no_network(small_checkpoint, tmp_path):
    """A hub that does not answer, not one that was forbidden."""
    unreachable = environment(HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path))
    code, out, err = finish(start("emotion", "x.wav", "--model", "plus-base", env=unreachable))
    assert (code, out) == (4, "")
    assert "could not be fetched" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("options", "said"), [(["--device", "tpu"], "tpu"), (["--precision", "fp16"], "fp32")])
def test_devices_and_precisions_that_are_not_here(emotion, options, said):
    code, out, err = emotion("a.wav", "--device", "cpu", *options)
    assert (code, out) == (4, "")
    assert said in err


# Settings


def test_config_file_and_environment(here, small_checkpoint, monkeypatch, capsys):
    settings = here / "settings.toml"
    settings.write_text(f'model = "{small_checkpoint}"\ngranularity = "utterance"\nlabels = "published"\n')
    monkeypatch.setenv("OVERTONE_CONFIG", str(settings))
    monkeypatch.setenv("OVERTONE_LABELS", "english")
    monkeypatch.setenv("OVERTONE_THREADS", "1")

    def keys(*arguments: str) -> dict:
        assert run(["emotion", "-q", "a.wav", *arguments]) == 0
        return lines(capsys.readouterr().out)[0]

    assert "segments" not in keys()  # the file
    assert list(keys()["scores"]) == CLASSES  # the environment over the file
    assert list(keys("--labels", "published")["scores"]) == LABELS  # the call over both
    assert "segments" in keys("--granularity", "segment")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OVERTONE_MODLE", "tiny", "did you mean 'model'"),
        ("OVERTONE_THREADS", "two", "OVERTONE_THREADS=two"),
        ("OVERTONE_KEEP_SILENCE", "perhaps", "write 1 or 0"),
        ("OVERTONE_GRANULARITY", "word", "utterance"),
        ("OVERTONE_CONFIG", "/nowhere.toml", "/nowhere.toml"),
    ],
)
def test_settings_that_are_wrong(here, monkeypatch, capsys, variable, value, said):
    monkeypatch.setenv(variable, value)
    assert run(["emotion", "a.wav"]) == 2
    assert said in capsys.readouterr().err


def test_config_files_that_are_wrong(here, monkeypatch, capsys):
    monkeypatch.setenv("OVERTONE_CONFIG", "settings.toml")
    for text, said in (
        ("modle = 1", "did you mean 'model'"),
        ("model = ", "settings.toml"),
        ("threads = 'x'", "settings.toml: --threads is"),
    ):
        (here / "settings.toml").write_text(text)
        assert run(["emotion", "a.wav"]) == 2
        assert said in capsys.readouterr().err


# The other commands


def test_plan(emotion, here):
    code, out, err = emotion(".", command="plan")
    assert code == 1  # broken.wav
    text = " ".join(out.split())
    for said in ("4, 5.5 s of audio", "expected peak", "expected time", "broken.wav cannot be used", "largest batch"):
        assert said in text
    assert "error: ./deep/broken.wav: not audio" in err
    assert sorted(path.name for path in here.iterdir()) == ["a.wav", "b.flac", "deep", "notes.txt"]


def test_plan_as_json(emotion):
    code, out, _ = emotion("a.wav", "b.flac", "deep/c.wav", "--channels", "split", "--format", "json", command="plan")
    assert code == 0
    plan = json.loads(out)
    assert plan["audio_s"] == pytest.approx(5.5, abs=0.01)  # headers of compressed files round
    assert [entry["segments"] for entry in plan["inputs"]] == [1, 1, 2]
    assert plan["resident_bytes"] < plan["peak_bytes"] <= plan["budget_bytes"]


def test_plan_counts_what_the_model_will_run(emotion):
    def planned(*options: str) -> tuple[dict, float]:
        code, out, _ = emotion("deep/c.wav", *options, "--format", "json", command="plan")
        assert code == 0
        found = json.loads(out)
        assert found["audio_s"] == 2.0
        return found["inputs"][0], found["time_s"]

    windows = ("--segment", "window", "--window", "1")
    one, once_s = planned(*windows)
    assert (one["segments"], one["exact"]) == (2, True)
    split, split_s = planned(*windows, "--channels", "split")
    assert (split["segments"], split_s) == (4, pytest.approx(2 * once_s))
    # From 0, 0.4 and 0.8 s on, the last of them to the end: 0.2 s are too little for another.
    overlapping, overlapping_s = planned(*windows, "--hop", "0.4")
    assert overlapping["segments"] == 3
    assert overlapping_s == pytest.approx(once_s * (1.0 + 1.0 + 1.2) / 2)
    run = emotion("deep/c.wav", *windows, "--hop", "0.4")[1]
    assert len(json.loads(run)["segments"]) == 3
    for longest, exact in (("1", False), ("2", True)):
        found, _ = planned("--max-segment", longest)
        assert (found["segments"], found["exact"]) == (1, exact)


def test_plan_promises_no_more_segments_than_silence_gives(emotion, here):
    (here / "silence.wav").write_bytes(audio_files.wav16(np.zeros((1, 64_000), np.float32)))
    code, out, _ = emotion("silence.wav", "--max-segment", "1", command="plan")
    assert code == 0
    assert re.search(r"^silence\.wav +4\.0 s +≥ 1", out, re.MULTILINE)
    code, out, _ = emotion("silence.wav", "--max-segment", "1")
    assert len(json.loads(out)["segments"]) == 1


def test_plan_refuses_as_a_run_would(emotion):
    assert emotion("a.wav", "--memory", "100MB", command="plan")[0] == 3


def test_profile(emotion):
    code, out, err = emotion("a.wav", "deep", command="profile")
    assert code == 1
    for line in ("load", *STAGES, "whole", "pipeline", "processor", "batches", "memory", "gpu"):
        assert re.search(rf"^{line} ", out, re.MULTILINE), line
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line and line[0] != " "}
    wall_s, cpu_s = float(rows["whole"][1]), float(rows["whole"][4])
    stages = {stage: (float(rows[stage][1]), float(rows[stage][4])) for stage in STAGES}
    # The three decimals of each row may be rounded up.
    assert 0 < stages["run"][0] <= wall_s + 0.001
    assert sum(stages[stage][0] for stage in ("batch", "run", "idle")) <= wall_s + 0.003
    assert sum(cpu for _, cpu in stages.values()) <= cpu_s + 0.03  # the process's own clock ticks every 10 ms
    ratio = re.search(r"^pipeline +(\d+\.\d+) × the model's own time", out, re.MULTILINE)
    assert ratio is not None
    assert float(ratio[1]) >= 1
    assert re.search(r"^batches +2 segments in [12];", out, re.MULTILINE)
    assert "broken.wav" in err


def test_profile_draws_its_stages(emotion, here, monkeypatch):
    assert emotion("a.wav", "b.flac", "--gantt", "new/run.png", command="profile")[0] == 0
    picture = here / "new" / "run.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in picture.parent.iterdir()] == ["run.png"]
    loads = []
    monkeypatch.setattr("overtone.cli.profile.EmotionRecognizer.with_options", lambda *_: loads.append(1))
    before = picture.read_bytes()
    code, _, err = emotion("a.wav", "--gantt", "new/run.png", command="profile")
    assert code == 2
    assert "run.png is there already; give --overwrite" in err
    assert picture.read_bytes() == before
    assert not loads
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert emotion("a.wav", "--gantt", "new/run.png", "--overwrite", command="profile")[0] == 0
    assert picture.read_bytes() != before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("run.svg", "end in .png"),
        ("run", "end in .png"),
        ("deep.png/", "end in .png"),
        ("folder.png", "is a folder"),
        ("a.wav/run.png", "cannot write"),
    ],
)
def test_a_place_where_no_picture_can_be_is_refused_before_the_run(emotion, here, monkeypatch, path, said):
    (here / "folder.png").mkdir()
    loads = []
    monkeypatch.setattr("overtone.cli.profile.EmotionRecognizer.with_options", lambda *_: loads.append(1))
    code, _, err = emotion("a.wav", "--gantt", path, command="profile")
    assert code == 2
    assert said in err
    assert not loads


def test_a_picture_without_matplotlib_is_refused_before_the_run(emotion, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    code, _, err = emotion("a.wav", "--gantt", "run.png", command="profile")
    assert code == 2
    assert "overtone[plot]" in err
    assert not (here / "run.png").exists()


# Tuning


@pytest.mark.slow
def test_tune_writes_a_profile_that_the_others_take(emotion, here, small_checkpoint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = emotion(
        *("a.wav", "b.flac", "deep/broken.wav", "--time", "60", "-o", "p.toml", "--memory", "2GiB"),
        *("--batch-size-s", "40", "--least-agreement", "0"),
        command="tune",
    )
    assert code == 1  # broken.wav
    assert "broken.wav: not audio" in err
    rows = [line.split() for line in out.splitlines() if re.match(r"(fp32|bf16|int8) ", line)]
    assert [row[0] for row in rows] == ["fp32", "bf16", "int8"]  # threads, batch and segment leave nothing to try
    for row in rows:
        assert row[1:6] == ["1", "40", "s", "30", "s"]
        assert row[6] == "failed" or (float(row[6]) > 1 and row[7] == "×" and 50 < float(row[8]) < 2048)
    assert [row[-1] for row in rows].count("chosen") == 1
    text = (here / "p.toml").read_text()
    head, values = text.split("\n\n")
    assert all(line.startswith("#") for line in head.splitlines())
    assert re.search(r"# fp32 +1 +40 s +30 s +\d", head)
    chosen = next(row[0] for row in rows if row[-1] == "chosen")
    assert values.splitlines() == [
        f'model = "{small_checkpoint}"',
        'device = "cpu"',
        'memory = "2GiB"',
        "batch_size_s = 40.0",
        f'precision = "{chosen}"',
        "threads = 1",
        "max_segment = 30.0",
    ]
    env = environment()
    del env["OVERTONE_THREADS"]
    # In processes of their own: the budget is of a process, and this one holds what other tests have loaded.
    for name, more, precision in (("out", [], chosen), ("two", ["--precision", "fp32"], "fp32")):
        command = ["emotion", "-q", "a.wav", "-o", f"{name}.jsonl", "--profile", "p.toml", *more]
        code, _, err = finish(start(*command, cwd=here, env=env))
        assert code == 0, err
        (record,) = lines((here / f"{name}.jsonl").read_text())
        assert (record["precision"], record["model"]) == (precision, str(small_checkpoint))


def test_a_profile_tells_plan_what_to_use(emotion, here):
    (here / "p.toml").write_text('memory = "3GiB"\ndecoders = 3\n')
    code, out, _ = emotion("a.wav", "--profile", "p.toml", "--format", "json", command="plan")
    assert code == 0
    assert (json.loads(out)["budget_bytes"], json.loads(out)["decoders"]) == (3 << 30, 3)
    with EmotionRecognizer("tiny", profile=here / "p.toml", decoders=2) as recognizer:
        assert (recognizer.options.memory, recognizer.options.decoders) == ("3GiB", 2)


def test_bench(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    options = ["bench", "--threads", "1", "--repeats", "1", "--limit", "30"]
    assert run([*options, "a.wav", "b.flac"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^b\.flac +1\.5 s +[\d.]+ s +[\d.]+ +\d+ MiB", out, re.MULTILINE)
    assert re.search(r"^a\.wav +2\.0 s ", out, re.MULTILINE)
    assert "tiny, fp32 on cpu through openvino, 1 threads" in out
    assert run([*options, "--json", "a.wav"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loaded"]["overtone"]["seconds"] > 0
    (row,) = found["clips"]
    assert (row["clip"], row["audio_s"], row["overtone"]["error"]) == ("a.wav", 2.0, None)
    assert row["overtone"]["peak_bytes"] > 1 << 20


def test_bench_measures_the_rest_where_one_clip_cannot_be_used(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    (here / "short.wav").write_bytes(audio_files.wav16(voice(0.01)[None]))
    clips = ["nowhere.wav", "deep/broken.wav", "short.wav", "a.wav"]
    assert run(["bench", "--threads", "1", "--repeats", "1", *clips]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^a\.wav +2\.0 s +[\d.]+ s ", out, re.MULTILINE)
    for clip, why in (("nowhere.wav", "no such file"), ("deep/broken.wav", "not audio"), ("short.wav", "at least")):
        assert re.search(rf"^{re.escape(clip)} +\S+( s)? +–", out, re.MULTILINE)
        assert re.search(rf"error: {re.escape(clip)}: overtone: .*{why}", err)


class Instant:
    """A contender that takes no time and loads nothing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, do: str, timeout_s: float | None = None, **given: object) -> dict:
        used = {"model": "c", "precision": "fp32", "device": "cpu", "backend": "openvino", "threads": 1}
        return {"seconds": 0.1, "peak_bytes": 1 << 20, **(used if do == "load" else {})}


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ([], "60 s: cut by Overtone into segments of up to 30 s, run whole by FunASR; --context full compares"),
        (["--max-segment", "20"], "30 s, 60 s: cut by Overtone into segments of up to 20 s"),
        (["--context", "full"], None),
    ],
)
def test_bench_says_where_it_compares_unlike_things(capsys, monkeypatch, options, cut):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("overtone.cli.bench.BenchmarkWorker", Instant)
    monkeypatch.setattr("overtone.cli.bench._check_funasr", lambda options: None)
    monkeypatch.setattr("overtone.tools.benchmark.interleave.time.sleep", lambda seconds: None)
    assert run(["bench", "--funasr", "--repeats", "1", *options]) == 0
    out = capsys.readouterr().out
    assert (cut in out) if cut else ("cut by" not in out)
    assert run(["bench", "--repeats", "1", *options]) == 0
    assert "cut by" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a.wav", "--time", "soon"], 2, "--time 'soon' is no time; write it like 300, 90s, 5m or 1h"),
        (["a.wav", "--time", "0"], 2, "--time '0'"),
        (["a.wav", "--time", "0.05", "--precision", "fp32"], 2, "--time was up before one trial was done"),
        (["a.wav", "--audio-s", "0"], 2, "--audio-s is 0"),
        (["a.wav", "--least-agreement", "1.1"], 2, "--least-agreement is 1.1"),
        (["a.wav", "-o", "taken.toml"], 2, "taken.toml is there already; give --overwrite"),
        (["a.wav", "-o", "deep"], 2, "deep is a folder"),
        (["deep/broken.wav"], 1, "none of the inputs can be used"),
        (["a.wav", "--memory", "100MB", "--precision", "fp32"], 3, "no setting could be run: 95.4 MiB cannot hold"),
        (["a.wav", "--precision", "fp16", "--device", "cpu"], 4, "fp16 is for CUDA"),
        (["a.wav", "--threads", "0"], 2, "--threads is 0"),
    ],
)
def test_a_tuning_that_cannot_be_says_why(emotion, here, arguments, code, said):
    (here / "taken.toml").write_text("mine")
    found, _, err = emotion(*arguments, "-q", command="tune")
    assert found == code
    assert said in " ".join(err.split())
    assert not (here / "overtone-profile.toml").exists()
    assert (here / "taken.toml").read_text() == "mine"


def test_a_model_that_cannot_be_had_is_said_once(here, capsys):
    assert run(["tune", "a.wav", "--model", "no-such-model"]) == 2
    assert capsys.readouterr().err.count("error:") == 1


def test_an_interrupted_tuning_writes_what_it_knows(here, small_checkpoint):
    (here / "long.wav").write_bytes(audio_files.wav16(np.tile(voice(30.0), 4)[None]))
    arguments = ["long.wav", "--model", small_checkpoint, "--audio-s", "100", "-o", "p.toml"]
    child = start("tune", *arguments, cwd=here, stderr=subprocess.PIPE)
    seen = b""
    while b"real time" not in seen:
        data = os.read(child.stderr.fileno(), 4096)
        assert data, seen
        seen += data
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child, timeout_s=30)
    assert code == 130
    assert b"only the first 1:40 of the inputs are used" in seen
    assert "error: interrupted; what was done is written.\n" in err
    assert "Interrupted before all was tried." in out
    text = (here / "p.toml").read_text()
    assert "# Interrupted before all was tried.\n" in text
    assert 'precision = "fp32"\n' in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["deep/broken.wav"], 1, "not audio"),
        (["-"], 2, "standard input"),
        (["a.wav", "--memory", "50MB"], 3, "would do"),
        (["a.wav", "--repeats", "0"], 2, "repeats"),
        (["a.wav", "--max-segment", "-1"], 2, "max-segment"),
    ],
)
def test_bench_refuses(here, capsys, arguments, code, said):
    assert run(["bench", *arguments]) == code
    assert said in capsys.readouterr().err


def test_doctor(monkeypatch, capsys):
    code = run(["doctor"])
    out = capsys.readouterr().out
    assert code == (4 if re.search("^bad ", out, re.MULTILINE) else 0)
    for said in ("overtone", "cores", "memory", "torch", "audio", "vad", "tiny", "cache", "HF_HUB_OFFLINE"):
        assert re.search(rf"^(ok|note|bad) +{said} ", out, re.MULTILINE), said


def test_doctor_decodes_a_file_and_says_when_that_fails(monkeypatch, capsys):
    run(["doctor"])
    assert re.search(r"^ok +audio +PyAV .*; 1\.0 s of an MP3 decoded", capsys.readouterr().out, re.MULTILINE)

    def unlike(*args, **kwargs):
        raise TypeError("open() got an unexpected keyword argument")

    monkeypatch.setattr(av, "open", unlike)
    assert run(["doctor"]) == 4
    out = capsys.readouterr().out
    assert re.search(r"^bad +audio +PyAV .* decoding an MP3 fails \(open\(\) got", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("version", "variable", "value", "advised"),
    [
        ("2.13.0+cu130", None, "", "PYTORCH_ALLOC_CONF"),
        ("2.8.1", None, "", "PYTORCH_CUDA_ALLOC_CONF"),
        ("2.13.0", "PYTORCH_ALLOC_CONF", "max_split_size_mb:64", "PYTORCH_ALLOC_CONF"),
        ("2.13.0", "PYTORCH_ALLOC_CONF", "expandable_segments:True", None),
        ("2.13.0", "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True", None),
    ],
)
def test_doctor_advises_on_a_gpus_allocator(monkeypatch, capsys, version, variable, value, advised):
    import torch

    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (7 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, value)
    run(["doctor"])
    out = capsys.readouterr().out
    assert re.search(r"^ok +cuda:1 +GPU 1, 7.00 GiB free of 8.00 GiB", out, re.MULTILINE)
    said = re.search(r"^note gpu memory +set (\w+)=expandable_segments:True: .* grow", out, re.MULTILINE)
    assert (said[1] if said else None) == advised


def test_doctor_finds_wrong_settings(monkeypatch, capsys):
    monkeypatch.setenv("OVERTONE_THREADS", "two")
    assert run(["doctor"]) == 4
    assert "OVERTONE_THREADS=two" in capsys.readouterr().out


def test_models(small_checkpoint, capsys, monkeypatch):
    assert run(["models", "list"]) == 0
    out = capsys.readouterr().out
    for name in ("tiny", "base", "base-finetuned", "plus-seed", "plus-base", "plus-large"):
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    assert run(["models", "info", str(small_checkpoint)]) == 0
    out = capsys.readouterr().out
    assert str(small_checkpoint) in out
    assert "angry, disgusted, fearful" in out
    assert run(["models", "pull", str(small_checkpoint)]) == 0
    assert capsys.readouterr().out == f"{small_checkpoint}\n"
    assert run(["models", "pull", "plus-large"]) == 4
    assert run(["models", "info", "no-such-model"]) == 2
    assert run(["models", "list", "--hub", "elsewhere"]) == 2


def test_a_plan_says_which_files_are_too_long_to_run_whole(here, small_checkpoint, capsys):
    minutes = np.tile(voice(60.0), 20)
    (here / "long.wav").write_bytes(audio_files.wav16(minutes[None]))
    budget = f"{(rss_bytes() >> 20) + 330}MiB"
    whole = ["--model", str(small_checkpoint), "--context", "full", "--memory", budget, "--format", "json"]
    assert run(["plan", "a.wav", "long.wav", *whole]) == 1
    short, long = json.loads(capsys.readouterr().out)["inputs"]
    assert short["error"] is None
    assert "--context segment" in long["error"]


def test_help_names_every_option(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["--version"]) == 0
    assert re.fullmatch(r"overtone \d+\.\d+\.\d+\n", capsys.readouterr().out)
    for command in ("emotion", "plan", "profile", "tune"):
        assert run([command, "--help"]) == 0
        text = capsys.readouterr().out
        for name in HELP:
            assert f"--{name.replace('_', '-')} " in text
        assert ("--profile " in text) is (command != "tune")


@pytest.mark.parametrize("arguments", [[], ["models"]])
def test_no_command_shows_the_help(arguments, capsys):
    assert run(arguments) == 2
    assert "Usage" in "".join(capsys.readouterr())


def test_a_command_that_is_not_there(capsys):
    assert run(["emotions"]) == 2
    assert "emotions" in capsys.readouterr().err


# Streams and signals


def test_a_fault_is_one_line(emotion, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("overtone.pipelines.emotion.EmotionRecognizer.stream", fail)
    code, _, err = emotion("a.wav")
    assert code == 4
    assert len(err.splitlines()) == 1
    assert "ZeroDivisionError('by zero') in test_cli.py, line" in err


def test_a_reader_that_has_enough(many, small_checkpoint):
    child = start("emotion", "--model", small_checkpoint, many)
    assert json.loads(child.stdout.readline())["error"] is None
    child.stdout.close()
    err = child.stderr.read().decode()
    assert child.wait(timeout=60) == 1
    child.stderr.close()
    assert err == ""


def test_standard_output_that_cannot_be_written(sounds, small_checkpoint):
    command = [*COMMAND, "emotion", "-q", "--model", str(small_checkpoint), str(sounds / "a.wav")]
    with open("/dev/full", "wb") as full:
        code, _, err = finish(start(*command[3:], stdout=full))
    assert code == 2
    assert "No space left" in err
    assert "Traceback" not in err
    code, _, err = finish(start(*command[3:], stdout=None, preexec_fn=lambda: os.close(1)))
    assert (code, err) == (0, "")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many files."""
    folder = tmp_path_factory.mktemp("many")
    data = audio_files.wav16(voice(6.0)[None])
    for index in range(MANY):
        (folder / f"{index:03}.wav").write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("number", "form"), [(signal.SIGINT, "jsonl"), (signal.SIGTERM, "csv"), (signal.SIGTERM, "json")]
)
def test_interrupted(many, small_checkpoint, tmp_path, number, form):
    path = tmp_path / f"out.{form}"
    child = start("emotion", "--model", small_checkpoint, many, "-o", path)
    _wait_for_bytes([path, path.with_name(path.name + ".part")], child)
    child.send_signal(number)
    code, _, err = finish(child, timeout_s=30)
    assert code == 130
    assert err == "error: interrupted; what was done is written.\n"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    if form == "jsonl":
        records = lines(path.read_text())
    elif form == "json":
        records = json.loads(path.read_text())
    else:
        records = _rows(path)
    sources = [record["source"] for record in records]
    assert 0 < len(sources) < MANY
    assert sources == [str(many / f"{index:03}.wav") for index in range(len(sources))]


def test_interrupted_in_one_long_file(small_checkpoint, tmp_path):
    """It stops at once, not at the end of the file, which never comes."""
    path = tmp_path / "endless.wav"
    os.mkfifo(path)
    child = start("emotion", "--model", small_checkpoint, path)
    with open(path, "wb") as pipe:  # opens once the program reads it
        whole = audio_files.wav16(voice(60.0)[None])
        pipe.write(whole[: len(whole) // 2])
        pipe.flush()
        child.send_signal(signal.SIGTERM)
        code, out, err = finish(child, timeout_s=60)
    assert code == 130
    assert out == ""
    assert err == "error: interrupted; what was done is written.\n"


def test_the_module_is_the_console_script():
    assert (
        finish(start("--version"))[:2]
        == finish(
            subprocess.Popen(
                [sys.executable, "-c", "from overtone.cli import main; main()", "--version"],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )[:2]
    )


def test_two_runs_give_the_same(emotion):
    first, second = (answers(lines(emotion("-q", ".")[1])) for _ in range(2))
    assert first == second


def _wait_for_bytes(paths: list[Path], child: subprocess.Popen[bytes]) -> None:
    for _ in itertools.count():
        if any(path.exists() and path.stat().st_size > 500 for path in paths):
            return
        assert child.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.02)
