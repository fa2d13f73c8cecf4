"""A command over many inputs: what they may be, outputs that are there already, and interruptions."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from helpers import audio_files
from helpers.clips import voice
from helpers.command import csv_rows, environment, finish, lines, start, well_formed
from helpers.waiting import until

MANY = 400
"""Files of a run that is to be interrupted: several seconds of work for the small network."""


def test_a_failed_input_keeps_its_line_and_the_rest_is_done(emotion):
    code, out, err = emotion("missing.wav", "a.wav", "deep/broken.wav", "b.flac")
    records = lines(out)
    assert code == 1
    assert [record["source"] for record in records] == ["missing.wav", "a.wav", "deep/broken.wav", "b.flac"]
    codes = [record["error"] and record["error"]["code"] for record in records]
    assert codes == ["not_found", None, "not_audio", None]
    for record in records:
        well_formed(record)
    assert err.count("error: ") == 2
    assert "missing.wav: no such file" in err
    assert "4 inputs" in err
    assert "2 failed" in err


def test_an_input_that_is_named_again_is_answered_once_and_said_so(emotion):
    code, out, err = emotion("a.wav", "b.flac", "./a.wav", "a.wav")
    assert code == 0
    assert [record["source"] for record in lines(out)] == ["a.wav", "b.flac"]
    assert "./a.wav is named more than once, and 1 more like it: each input is answered once." in err
    assert "named" not in emotion("-q", "a.wav", "a.wav")[2]


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
    rows = csv_rows(here / "out.csv")
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


@pytest.mark.parametrize("option", ["--embeddings", "--plot", "-o"])
def test_a_folder_that_cannot_be_written_is_found_out_first(emotion, here, option):
    (here / "file").write_text("")
    place = "file/x.jsonl" if option == "-o" else "file/x"
    code, out, err = emotion("a.wav", option, place)
    assert (code, out) == (2, "")
    assert f"cannot write {place}" in err


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


def test_a_reader_that_has_enough(many, small_checkpoint):
    child = start("emotion", "--model", small_checkpoint, many)
    assert json.loads(child.stdout.readline())["error"] is None
    child.stdout.close()
    err = child.stderr.read().decode()
    assert child.wait(timeout=60) == 1
    child.stderr.close()
    assert err == ""


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
    said = re.fullmatch(
        r"error: interrupted after (\d+) inputs?; (.+) has what was done; give --resume to go on\.\n", err
    )
    assert said is not None, err
    assert said[2] == str(path)
    # From which the run goes on; a .jsonl needs none.
    side = [] if form == "jsonl" else [f"{path.name}.resume.jsonl"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, *side]
    if form == "jsonl":
        records = lines(path.read_text())
    elif form == "json":
        records = json.loads(path.read_text())
    else:
        records = csv_rows(path)
    sources = [record["source"] for record in records]
    assert 0 < len(sources) < MANY
    assert len(sources) - int(said[1]) in {0, 1}  # one may be written and not counted yet
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
    assert err == "error: interrupted after 0 inputs; nothing was written.\n"


def _wait_for_bytes(paths: list[Path], child: subprocess.Popen[bytes]) -> None:
    def begun() -> bool:
        assert child.poll() is None, "the run ended before it could be interrupted"
        return any(path.exists() and path.stat().st_size > 500 for path in paths)

    until(begun, "something is written")
