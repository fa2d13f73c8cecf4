"""Commands that are imported when they are run, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from helpers.command import environment
from overtone.cli import lazy_group
from overtone.cli.app import app

_RUNS = """
import sys
from overtone.cli.app import run
code = run(sys.argv[1:])
print("IMPORTED", *sorted(name for name in sys.modules), file=sys.stderr)
sys.exit(code)
"""

_OTHERS = {"overtone.server", "overtone.tools", "overtone.compat", "fastapi", "gradio", "matplotlib", "pandas"}
"""Packages of other commands than those that recognize."""


def imported(*arguments: str) -> set[str]:
    """Modules that a command has imported when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", _RUNS, *arguments],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    return set(ran.stderr.partition("IMPORTED")[2].split())


@pytest.mark.process
@pytest.mark.parametrize("command", ["emotion", "transcribe"])
def test_a_command_is_imported_without_the_others(command: str) -> None:
    modules = imported(command, "--help")
    assert f"overtone.cli.{command}" in modules
    others = {f"overtone.cli.{module}" for name, module in lazy_group.COMMANDS.items() if name != command}
    assert modules.isdisjoint(others | _OTHERS | {"torch", "openvino", "av"})


@pytest.mark.process
def test_a_run_imports_neither_ffmpeg_nor_what_converts_models(small_checkpoint: Path, sounds: Path) -> None:
    modules = imported("emotion", str(sounds / "a.wav"), "--model", str(small_checkpoint))
    assert "openvino" in modules
    assert modules.isdisjoint(_OTHERS | {"av", "torch", "openvino.tools.ovc"})


@pytest.mark.process
def test_the_version_is_told_without_any_command() -> None:
    modules = imported("--version")
    assert modules.isdisjoint({f"overtone.cli.{module}" for module in lazy_group.COMMANDS.values()})
    assert modules.isdisjoint(_OTHERS | {"torch", "openvino", "av"})


def test_every_command_is_found_under_its_name() -> None:
    group = typer.main.get_command(app)
    context = group.make_context("overtone", ["doctor"], resilient_parsing=True)
    assert group.list_commands(context) == list(lazy_group.COMMANDS)
    for name in lazy_group.COMMANDS:
        found = group.get_command(context, name)
        assert found is not None
        assert found.name == name
        assert found.help
    assert group.get_command(context, "nothing") is None


def test_a_command_that_does_not_exist_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["emotoin"], prog_name="overtone")
    assert "Did you mean 'emotion'" in capsys.readouterr().err


@pytest.mark.process
def test_a_library_that_a_command_cannot_load_is_one_line() -> None:
    code = """
import logging, sys

class Refused:
    def find_spec(self, name, path, target=None):
        if name == "overtone.cli.batch_run":
            logging.getLogger("library").error("what a library says")
            raise ImportError("libfoo.so: failed to map segment from shared object: Cannot allocate memory")

sys.meta_path.insert(0, Refused())
sys.argv[1:] = ["emotion", "a.wav"]
from overtone.cli import main
main()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert ran.returncode == 3
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: memory ran out")
