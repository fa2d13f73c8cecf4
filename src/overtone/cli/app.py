"""The commands put together, and the one place where errors become messages and exit codes.

Exit codes: 0 all done; 1 some inputs failed, the rest done; 2 usage; 3 the budget cannot hold it; 4 model or device;
130 interrupted (what was done is written).
"""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import overtone
from overtone.cli.closed_stream import ClosedStream
from overtone.cli.console import for_terminal, print_error
from overtone.cli.exit_codes import INTERRUPTED
from overtone.cli.lazy_group import LazyGroup
from overtone.errors import Code, OvertoneError, UsageError, printable
from overtone.system.memory import memory_error
from overtone.system.temporary_files import REFUSING, storage_remedy
from overtone.wording import speaking_to

app = typer.Typer(
    name="overtone",
    cls=LazyGroup,
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
        bool, typer.Option("-V", "--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The emotion and the words in speech: any length, any number of files, inside the memory it is given."""


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its code. No traceback ever reaches the user."""
    _secure_streams()
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(EscapingFormatter())
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


class EscapingFormatter(logging.Formatter):
    """Formatter of log lines as errors are shown: names in them may be anything."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Format the message, on one line."""
        return for_terminal(super().formatMessage(record))


def _secure_streams() -> None:
    """Standard streams that are open and take any text, whatever this process was started with."""
    # A closed descriptor would be given to the next file opened, and what libraries print would end up in it.
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(lowest, True)  # the processes that decode are started with it, too
    os.close(lowest)
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        sys.stdout = ClosedStream()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    with speaking_to("command"):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        app(arguments, prog_name="overtone")
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0
        if code == INTERRUPTED:
            print_error("interrupted; what was done is written.")
        return code
    except KeyboardInterrupt:  # before a command has begun
        print_error("interrupted; nothing was done.")
        return INTERRUPTED
    except OvertoneError as error:
        print_error(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a fault of this program; one line of it is of more use than fifty
        if (known := _not_ours(error)) is not None:
            print_error(str(known))
            return known.exit_code
        at = traceback.extract_tb(error.__traceback__)[-1]
        print_error(
            f"a fault of Overtone, not of the call: {error!r} in {Path(at.filename).name}, line {at.lineno}. "
            "What was done is written. Please report it, with the command."
        )
        return OvertoneError.exit_code
    return 0


def _not_ours(error: Exception) -> OvertoneError | None:
    """The error to show where the machine is behind one: no memory, a place that cannot be written, or a library
    that is not there."""
    if isinstance(error, OSError) and error.errno in (*REFUSING, errno.EBADF, errno.EIO):
        place = printable(os.fsdecode(error.filename)) if error.filename else "standard output or a temporary file"
        return UsageError(
            f"cannot write {place}: {os.strerror(error.errno or 0)}. {storage_remedy(error)}, or name another place.",
            code=Code.UNWRITABLE,
        )
    if (refused := memory_error(error)) is not None:
        return refused
    if isinstance(error, ImportError) and error.name is not None and error.name.partition(".")[0] != "overtone":
        reason, _, _ = str(error).strip().partition("\n")
        return OvertoneError(
            f"this installation is not complete: {printable(reason)}. "
            "Install it again: pip install --force-reinstall overtone"
        )
    return None
