"""Commands run in a place, and what came of them as text."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from answering.place import Place
from answering.texts import decoded, shown, without_numbers

OVERTONE = [sys.executable, "-m", "overtone"]

PATIENCE_S = 300.0
"""Seconds after which a command is taken to hang, on a machine that has other work, too."""

RECOGNIZERS = ("sensevoice", "paraformer-plain", "paraformer-bicif", "paraformer-seaco")

TOGETHER = {"OVERTONE_BATCH_SIZE_THRESHOLD_S": "1000"}
"""Segments share batches, as they do unless told otherwise."""

_NETWORKS = (".xml", ".onnx", ".data")
"""Endings of converted networks: the names in them are those of attributes in the code, and no answer."""


@dataclass(frozen=True)
class Case:
    """Commands that follow each other. `{here}` in an argument is the folder of their own that they write to.

    stdin: a file for standard input. measured: their numbers are; only the words count. terminal: standard output is
    one. keep: what of standard output counts.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = os.devnull
    measured: bool = False
    terminal: bool = False
    keep: Callable[[str], str] | None = None


def case(name: str, *arguments: str) -> Case:
    """One command."""
    return Case(name, (arguments,))


def each(name: str, command: Sequence[str], *commands: Sequence[str]) -> Case:
    """Several commands that begin alike."""
    return Case(name, tuple((*command, *more) for more in commands))


def first_words(table: str) -> str:
    """The first words of lines, which name what was measured: how long bars are, and whether there are any, is too."""
    return "\n".join(line.split("  ")[0] for line in table.splitlines())


def run(case: Case, place: Place) -> str:
    """What the commands say and write."""
    here = Path("written") / case.name
    (place.folder / here).mkdir(parents=True)
    told = "".join(_told(case, [part.replace("{here}", str(here)) for part in one], place) for one in case.commands)
    for path in sorted(path for path in (place.folder / here).rglob("*") if path.is_file()):
        says = "(not told)\n" if path.suffix in _NETWORKS else decoded(path)
        told += section(str(path.relative_to(place.folder)), says)
    told = place.scrub(told)
    return without_numbers(told) if case.measured else told


def _told(case: Case, arguments: list[str], place: Place) -> str:
    command, environment = [*OVERTONE, *arguments], {**place.environment, **case.environment}
    with (place.folder / case.stdin).open("rb") as stdin:
        ask = _on_terminal if case.terminal else _plainly
        code, out, err = ask(command, place.folder, environment, stdin)
    said = case.keep(readable(out)) if case.keep else readable(out)
    parts = section("standard output", said) + section("standard error", readable(err))
    variables = "".join(f"{name}={text} " for name, text in case.environment.items())
    return f"$ {variables}overtone {shlex.join(arguments)}\nexit {code}\n{parts}\n"


def _plainly(
    command: list[str], folder: Path, environment: Mapping[str, str], stdin: IO[bytes]
) -> tuple[int, bytes, bytes]:
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, err = child.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:  # which differs from any command that ends
        child.kill()
        out, err = child.communicate()
    return child.returncode, out, err


def _on_terminal(
    command: list[str], folder: Path, environment: Mapping[str, str], stdin: IO[bytes]
) -> tuple[int, bytes, bytes]:
    """The same where standard output is a terminal. Standard error is a file, which never has to be emptied."""
    shows, end = pty.openpty()
    seen = b""
    with tempfile.TemporaryFile() as err:
        environment = {**environment, "TERM": "xterm"}
        child = subprocess.Popen(command, cwd=folder, env=environment, stdin=stdin, stdout=end, stderr=err)
        os.close(end)
        with contextlib.suppress(OSError):  # what Linux says of a terminal whose other end is closed
            while data := os.read(shows, 65_536):
                seen += data
        os.close(shows)
        code = child.wait(PATIENCE_S)
        err.seek(0)
        return code, seen.replace(b"\r\n", b"\n"), err.read()


def readable(data: bytes) -> str:
    """Bytes as text that can be shown, whatever they are."""
    return shown(data.decode("utf-8", "backslashreplace"))


def section(name: str, text: str) -> str:
    """A part of a recording; nothing of what is empty."""
    end = "" if text.endswith("\n") else "\n-- no line end\n"
    return f"-- {name}\n{text}{end}" if text else ""
