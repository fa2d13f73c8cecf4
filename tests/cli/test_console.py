"""What strangers choose, names of files and labels, as a terminal gets it: shown, and never obeyed."""

from __future__ import annotations

import json
import logging
import os
import pty
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.command import environment, start
from overtone.cli import console
from overtone.cli.app import EscapingFormatter
from overtone.output.records import to_json
from overtone.system.terminal_text import escape_control_chars

HOSTILE = "a\x1b]0;pwned\x07\n[red]\u202e\u2066\x9b2J\x7f.wav"
SHOWN = "a\\x1b]0;pwned\\x07\\n[red]\\u202e\\u2066\\x9b2J\\x7f.wav"
OBEYED = ("\x1b]0;", "\x07", "\u202e", "\u2066", "\x9b", "\x7f")


def on_a_terminal(*arguments: str | Path, cwd: Path) -> str:
    """All that a command writes where both of its streams are one wide terminal."""
    master, slave = pty.openpty()
    child = start(*arguments, cwd=cwd, stdout=slave, stderr=slave, env=environment(COLUMNS="400", TERM="xterm"))
    os.close(slave)
    data = b""
    try:
        while piece := os.read(master, 1 << 16):
            data += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
        child.wait(60)
    return data.decode("utf-8", "replace")


def harmless(said: str) -> None:
    for character in OBEYED:
        assert character not in said, repr(said)


@pytest.fixture
def hostile(here: Path) -> Path:
    """A folder with a good and a broken file of such names, and one whose name is no text."""
    folder = here / "strange"
    folder.mkdir()
    shutil.copy(here / "a.wav", folder / HOSTILE)
    (folder / f"broken {HOSTILE}").write_bytes(b"no audio" * 30)
    shutil.copy(here / "a.wav", os.fsencode(folder) + b"/\xff\x9b.wav")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["emotion"],
        ["emotion", "-o", "out.csv"],
        ["plan"],
        ["emotion", "--format", "jsonl"],
        ["plan", "--format", "json"],
    ],
    ids=["table", "progress", "plan", "lines", "json"],
)
def test_names_of_files_are_shown_and_not_obeyed(hostile: Path, small_checkpoint: Path, arguments: list[str]) -> None:
    said = on_a_terminal(*arguments, "--model", small_checkpoint, "strange", cwd=hostile.parent)
    harmless(said)
    if "json" in arguments[-1]:
        assert "\\u001b]0;pwned\\u0007\\n[red]\\u202e\\u2066\\u009b2J\\u007f.wav" in said
    else:
        assert f"broken {SHOWN}"[-30:] in said
    assert "Traceback" not in said


def test_a_name_in_json_is_exact(hostile: Path, emotion: Any) -> None:
    _, out, _ = emotion("-q", "strange")
    assert {os.path.basename(json.loads(line)["source"]) for line in out.splitlines()} >= {HOSTILE, f"broken {HOSTILE}"}
    harmless(out)


def test_labels_of_a_model_are_shown_and_not_obeyed(here: Path, small_checkpoint: Path) -> None:
    folder = here / "model"
    shutil.copytree(small_checkpoint, folder)
    tokens = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    tokens[0] = "生气/angry\x1b]0;pwned\x07[red]\u202e\x9b"
    (folder / "tokens.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    for arguments in (["models", "info", folder], ["emotion", "a.wav", "b.flac", "--model", folder]):
        harmless(on_a_terminal(*arguments, cwd=here))
    said = on_a_terminal("models", "info", folder, cwd=here)
    assert "angry\\x1b]0;pwned\\x07[red]\\u202e\\x9b" in said


def test_errors_and_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_error(f"{HOSTILE}: no such file")
    console.print_note(HOSTILE)
    record = logging.LogRecord("overtone", logging.WARNING, "", 0, "%s: kept", (HOSTILE,), None)
    print(EscapingFormatter().format(record), file=sys.stderr)
    _, err = capsys.readouterr()
    harmless(err)
    assert err.splitlines() == [f"error: {SHOWN}: no such file", SHOWN, f"{SHOWN}: kept"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("通话 a.wav", "通话 a.wav"),
        ("نامه\u200cها\u3000\u00a0👩\u200d💻", "نامه\u200cها\u3000\u00a0👩\u200d💻"),
        ("\r\n\t\0\x1b\x7f\x85\x9b", "\\r\\n\\t\\x00\\x1b\\x7f\\x85\\x9b"),
        (
            "\u200e\u200f\u061c\u202a\u202e\u2066\u2069\u2028",
            "\\u200e\\u200f\\u061c\\u202a\\u202e\\u2066\\u2069\\u2028",
        ),
        ("\udcff\ud800\ufeff\U000e0041", "\\udcff\\ud800\\ufeff\\U000e0041"),
    ],
)
def test_what_is_escaped(text: str, shown: str) -> None:
    assert escape_control_chars(text) == shown
    assert json.loads(to_json(text)) == text
