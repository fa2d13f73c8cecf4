"""The command line as a whole: help, wrong calls, faults and streams, and the exit code."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from functools import partial

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
        (["a.wav", "--vad", "fsmn-vad"], "--vad is 'fsmn-vad'; for emotion it can be silero, none"),
        (["a.wav", "--format", "docx"], "docx"),
        (["a.wav", "-o", "out.docx"], "out.docx"),
        (["a.wav", "-o", "deep"], "folder"),
        (["a.wav", "--resume"], "-o"),
        (["a.wav", "-o", "/dev/null", "--format", "csv", "--resume"], "/dev/null is none"),
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


def closed(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def test_standard_output_that_is_closed_is_an_error_where_it_is_needed(sounds, small_checkpoint, tmp_path):
    asked = ("emotion", "-q", "--model", small_checkpoint, sounds / "a.wav")
    for arguments in (asked, ("plan", *asked[2:]), ("--version",)):
        code, _, err = finish(start(*arguments, stdout=None, preexec_fn=partial(closed, 1)))
        assert code == 2, arguments
        assert err.startswith("error: cannot write standard output")
        assert len(err.splitlines()) == 1
    done = finish(start(*asked, "-o", tmp_path / "out.csv", stdout=None, preexec_fn=partial(closed, 1)))
    assert (done[0], done[2]) == (0, "")
    # The error has nowhere to go then, and its code has.
    assert finish(start(*asked, stdout=None, stderr=None, preexec_fn=partial(closed, 1, 2)))[0] == 2
    code, out, _ = finish(start(*asked, stderr=None, preexec_fn=partial(closed, 2)))
    assert (code, len(out.splitlines())) == (0, 1)


def test_a_table_that_cannot_be_written(sounds, small_checkpoint):
    with open("/dev/full", "wb") as full:
        code, _, err = finish(start("plan", "--model", small_checkpoint, sounds / "a.wav", stdout=full))
    assert code == 2
    assert err.startswith("error: cannot write standard output or a temporary file: No space left on device")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("limit_mib", [150, 450, 900])
def test_a_limit_on_address_space_is_said_and_is_no_fault(sounds, small_checkpoint, limit_mib):
    limit = limit_mib << 20
    child = start(
        *("emotion", "-q", "--model", small_checkpoint, sounds / "a.wav"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    code, out, err = finish(child)
    assert (code, out) == (3, "")
    assert f"{limit_mib} MiB of address space (ulimit -v)" in err
    assert "raise that limit" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("module", ["overtone.cli.lazy_group", "numpy"])
def test_ctrl_c_while_modules_load_is_one_line(tmp_path, module):
    code = f"""
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
from overtone.cli import main
main()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--version"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert finish(child) == (130, "", "error: interrupted; nothing was done.\n")


def test_ctrl_c_before_a_command_begins_is_one_line(capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("overtone.cli.app.app", interrupted)
    assert run(["--version"]) == 130
    assert capsys.readouterr().err == "error: interrupted; nothing was done.\n"


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


def test_a_library_that_a_command_lacks_is_said_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numpy.fft", None)
    monkeypatch.setattr("overtone.cli.lazy_group.command", lambda name: lambda: __import__("numpy.fft"))
    assert run(["doctor"]) == 4
    said = capsys.readouterr().err
    assert "this installation is not complete: " in said
    assert "numpy.fft" in said
    assert "pip install --force-reinstall overtone" in said
    assert "fault" not in said
