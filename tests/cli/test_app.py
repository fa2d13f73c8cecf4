"""The command line as a whole: help, wrong calls, faults and streams, and the exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from helpers.command import COMMAND, environment, finish, start
from overtone.cli.app import run
from overtone.options.emotion import HELP


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


def test_a_fault_is_one_line(emotion, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("overtone.pipelines.emotion.EmotionRecognizer.stream", fail)
    code, _, err = emotion("a.wav")
    assert code == 4
    assert len(err.splitlines()) == 1
    assert "ZeroDivisionError('by zero') in test_app.py, line" in err


def test_standard_output_that_cannot_be_written(sounds, small_checkpoint):
    command = [*COMMAND, "emotion", "-q", "--model", str(small_checkpoint), str(sounds / "a.wav")]
    with open("/dev/full", "wb") as full:
        code, _, err = finish(start(*command[3:], stdout=full))
    assert code == 2
    assert "No space left" in err
    assert "Traceback" not in err
    code, _, err = finish(start(*command[3:], stdout=None, preexec_fn=lambda: os.close(1)))
    assert (code, err) == (0, "")


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
