"""`overtone tune`."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from helpers.command import environment, finish, lines, start
from overtone.cli import amx, tune
from overtone.cli.app import run


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
    text = (here / "p.toml").read_text(encoding="utf-8")
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
        assert (record["precision"], record["model"]) == (precision, small_checkpoint.name)


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
    text = (here / "p.toml").read_text(encoding="utf-8")
    assert "# Interrupted before all was tried.\n" in text
    assert 'precision = "fp32"\n' in text


def test_a_tuning_on_amx_says_which_precision_is_expected_to_win(monkeypatch):
    monkeypatch.setattr(amx, "has_amx", lambda: True)
    (said,) = tune._advice("cpu", ("fp32", "bf16", "int8"))
    assert said.startswith("This processor has AMX")
    assert "--precision bf16" in said
    assert tune._advice("cpu", ("int8",)) == tune._advice("cuda:0", ("bf16", "int8")) == []
    monkeypatch.setattr(amx, "has_amx", lambda: False)
    assert tune._advice("cpu", ("fp32", "bf16", "int8")) == []
