"""From inputs to an output: the run of every command that writes a result for each input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TypeVar

import typer

from overtone.audio.inputs import Entry, expand, is_collection, is_list_file
from overtone.cli import console
from overtone.cli.progress import ProgressBar
from overtone.engine.runtime import Runtime
from overtone.errors import UsageError
from overtone.output.formats import FORMATS, Sink, check_sink, existing_output, open_sink
from overtone.output.records import Level
from overtone.output.resume import key_of, resume_from
from overtone.pipelines.base import Pipeline
from overtone.results import Result

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """Inputs and output of a command, as its arguments name them.

    Raises UsageError for arguments that are at odds, before anything is loaded.
    """

    inputs: list[str]
    output: str | None
    format: str | None
    resume: bool
    overwrite: bool
    quiet: bool

    def __post_init__(self) -> None:
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

    def form(self, granularity: Level, *, split: bool, **more: Any) -> dict[str, Any]:
        """Arguments of `open_sink` for this output. UsageError for one that cannot be as it is asked for.

        split: each channel has its own result.
        """
        many = split or self.is_multi_input
        form = {"granularity": granularity, "format": self.kind, "append": self.resume, "many": many, **more}
        if not self.is_interactive:
            check_sink(self.output, **form)
        return form

    def sink(self, table: Callable[[], Sink], form: Mapping[str, Any]) -> Sink:
        """The sink that results go to: a table for a person, else the output in its form."""
        return table() if self.is_interactive else open_sink(self.output, **form)

    def recovered(self, runtime: Runtime, granularity: Level, **expected: Any) -> set[str]:
        """Keys of the inputs that the output has in full. expected: what its records have to agree with."""
        if not self.resume or self.output is None:
            return set()
        return resume_from(
            self.output,
            model=runtime.model.name,
            precision=runtime.engine.precision,
            granularity=granularity,
            channels=runtime.options.channels,
            **expected,
        )

    def entries(self, done: set[str]) -> Iterator[Entry]:
        """The inputs that are not among those done before."""
        return (entry for entry in expand(self.inputs) if key_of(entry.source, entry.id) not in done)

    def write(
        self,
        run: Callable[[], Iterable[_Result]],
        sink: Sink,
        done: set[str],
        pipeline: Pipeline[Any, Any, _Result],
        *,
        first: Callable[[_Result], None] = lambda _: None,
    ) -> int:
        """Write every result. Returns the exit code.

        run: begins the run, with `pipeline`. first: called with a result before its line is written: where that
        stands, everything of the input stands.
        """
        shown = not self.quiet and not self.is_interactive and sys.stderr.isatty()
        to_do = self._counted(done)
        with ProgressBar(to_do, lambda: pipeline.decoded_s, pipeline.probe, shown=shown) as meter:
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
        """The inputs, to be counted beside the run; None where a list comes through a pipe, to be read once."""
        if not all(os.path.isfile(item.removeprefix("@")) for item in self.inputs if is_list_file(item)):
            return None
        return self.entries(done)
