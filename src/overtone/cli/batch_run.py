"""Run of a command that writes a result for each input: from its inputs to its output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TypeVar

import typer

from overtone.audio.sources import Entry, expand, is_collection, is_list_file
from overtone.cli import console
from overtone.cli.progress import ProgressBar
from overtone.errors import UsageError
from overtone.output import resume as journal
from overtone.output.formats import FORMATS, Sink, check_sink, existing_output
from overtone.types import Result

# typer reads annotations at run time, where `X | None` needs Python 3.10's own types; Optional says the same.
Inputs = Annotated[list[str], typer.Argument(help="Files, folders, - (standard input), @list.txt, Kaldi wav.scp.")]
Output = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("-o", "--output", help="Where to write; the ending picks the format. {name} gives a file per input."),
]
Format = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--format", help=f"Format of standard output, or of an -o without one: {', '.join(FORMATS)}."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the .jsonl of a run that was stopped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already at -o.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar and no summary.")]

_Result = TypeVar("_Result", bound=Result)


@dataclass(frozen=True, slots=True)
class BatchRun:
    """Arguments of such a command, beside its options."""

    inputs: list[str]
    output: str | None
    format: str | None
    resume: bool
    overwrite: bool
    quiet: bool

    def check(self) -> None:
        """Raise UsageError for options that are at odds, before anything is loaded."""
        appendable = self.output is not None and self.output.endswith(".jsonl") and "{name}" not in self.output
        if self.resume and not appendable:
            raise UsageError("--resume goes on with a .jsonl file; name it with -o.")
        if self.resume and self.overwrite:
            raise UsageError("--resume keeps what is there and --overwrite replaces it; leave one out.")
        if self.output is None or self.resume or self.overwrite:
            return
        if there := existing_output(self.output, self.format):
            hint = (
                "--resume to go on with it, or --overwrite to start anew" if appendable else "--overwrite to replace it"
            )
            raise UsageError(f"{there} is there already; give {hint}.")

    @property
    def is_interactive(self) -> bool:
        """True if results are shown to a person."""
        return self.output is None and self.format is None and sys.stdout.isatty()

    @property
    def kind(self) -> str | None:
        """The format that was asked for, where the ending of the output does not say it."""
        return self.format or ("jsonl" if self.output is None else None)

    @property
    def is_multi_input(self) -> bool:
        """True if there may be more than one input."""
        return len(set(self.inputs)) > 1 or any(map(is_collection, self.inputs))

    def sink_options(self, *, split: bool) -> dict[str, Any]:
        """Arguments of `open_sink` for this output; `split`: each channel has a separate result."""
        return {"format": self.kind, "append": self.resume, "many": split or self.is_multi_input}

    def check_form(self, form: Mapping[str, Any]) -> None:
        """Raise UsageError for an output that cannot be as it is asked for, before anything is loaded."""
        if not self.is_interactive:
            check_sink(self.output, **form)

    def entries(self, done: set[str]) -> Iterator[Entry]:
        """The inputs that are not among those done before (`overtone.output.resume.resume_from`)."""
        return (entry for entry in expand(self.inputs) if journal.key_of(entry.source, entry.id) not in done)

    def write(
        self,
        run: Callable[[], Iterable[_Result]],
        sink: Sink,
        done: set[str],
        *,
        decoded_s: Callable[[], float],
        first: Callable[[_Result], None] = lambda _: None,
    ) -> int:
        """Write every result, and return the exit code.

        - `run`: begins the run.
        - `first`: called with a result before its line is written: where that stands, everything of the input stands.
        """
        shown = not self.quiet and not self.is_interactive and sys.stderr.isatty()
        with ProgressBar(self._counted(done), decoded_s, shown=shown) as meter:
            for result in run():
                if result.ok:
                    first(result)
                sink.write(result)
                meter.add(result)
                if result.error is not None and not self.is_interactive:
                    console.print_error(str(result.error))
            if not self.quiet:
                meter.summary(skipped=len(done))
            return 1 if meter.failed else 0

    def _counted(self, done: set[str]) -> Iterator[Entry] | None:
        """The inputs of this run, to be counted beside it; None where a list comes through a pipe, to be read once."""
        if not all(os.path.isfile(item.removeprefix("@")) for item in self.inputs if is_list_file(item)):
            return None
        return self.entries(done)
