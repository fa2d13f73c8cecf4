"""The commands put together, and the one place where errors become messages and exit codes.

Exit codes: 0 all done; 1 some inputs failed, the rest done; 2 usage; 3 the budget cannot hold it; 4 model or device;
130 interrupted (what was done is written).
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import overtone
from overtone.cli.bench import bench
from overtone.cli.console import print_error
from overtone.cli.doctor import doctor
from overtone.cli.emotion import emotion
from overtone.cli.keys import keys
from overtone.cli.models import models
from overtone.cli.options import typer_command
from overtone.cli.plan import plan
from overtone.cli.profile import profile
from overtone.cli.serve import serve
from overtone.cli.top.command import top
from overtone.cli.transcribe import transcribe
from overtone.cli.tune import tune
from overtone.errors import OvertoneError

INTERRUPTED = 130

app = typer.Typer(
    name="overtone",
    help="The emotion and the words in speech: any length, any number of files, inside the memory it is given.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"overtone {overtone.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The emotion and the words in speech: any length, any number of files, inside the memory it is given."""


for command in (emotion, transcribe, plan, profile, tune, bench, doctor, serve, top):
    app.command()(typer_command(command))
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its code. No traceback ever reaches the user."""
    _secure_streams()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A terminated run ends like an interrupted one: what was done is written. What nohup ignores stays ignored.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminated)
    code = run(sys.argv[1:])
    if code == INTERRUPTED:
        # A decoder may be in the middle of a read that nobody ends, and Python would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _secure_streams() -> None:
    """Standard streams that are open and take any text, whatever this process was started with."""
    # A closed descriptor would be given to the next file opened, and what libraries print would end up in it.
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(lowest)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        app(arguments, prog_name="overtone")
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0
        if code == INTERRUPTED:
            print_error("interrupted; what was done is written.")
        return code
    except OvertoneError as error:
        print_error(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a fault of this program; one line of it is of more use than fifty
        at = traceback.extract_tb(error.__traceback__)[-1]
        print_error(
            f"a fault of Overtone, not of the call: {error!r} in {Path(at.filename).name}, line {at.lineno}. "
            "What was done is written. Please report it, with the command."
        )
        return OvertoneError.exit_code
    return 0
