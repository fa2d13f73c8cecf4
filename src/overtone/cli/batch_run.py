"""From inputs to an output: the run of every command that writes a result for each input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TypeVar

import typer

from overtone.audio.inputs import Entry, Input, expand, is_collection, is_list_file
from overtone.cli import console
from overtone.cli.exit_codes import INTERRUPTED
from overtone.cli.progress import ProgressBar, spinner
from overtone.engine.runtime import Runtime
from overtone.errors import OvertoneError, UsageError
from overtone.models.checkpoints import name_of
from overtone.options.emotion import Options
from overtone.output.finished import Finished
from overtone.output.formats import FORMATS, Sink, appends, check_sink, existing_output, name_of_all, open_sink
from overtone.output.records import Level
from overtone.output.resume import key_of, resume_from, run_identity
from overtone.output.resume_log import ENDING, ResumeLog
from overtone.output.run_lock import run_lock
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
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the output of a run that was stopped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already at -o.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar and no summary.")]

_Result = TypeVar("_Result", bound=Result)


class Interrupted(OvertoneError):  # noqa: N818 - no error, as KeyboardInterrupt is none
    """A run that was stopped by Ctrl-C or SIGTERM; the message says what of it is written."""

    exit_code = INTERRUPTED


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
        self._check()

    def _check(self) -> None:
        if self.resume and self.overwrite:
            raise UsageError("--resume keeps what is there and --overwrite replaces it; leave one out.")
        if self.output is None:
            if self.resume:
                raise UsageError("--resume goes on with a file; name it with -o.")
            return
        if self.overwrite:
            return
        side, there = self._side_file(self.output), existing_output(self.output, self.format)
        if self.resume:
            self._check_resumable(self.output, side, there)
        elif side is not None and os.path.exists(side):
            raise UsageError(
                f"{side} is there: a run into {self.output} was stopped, or some of its inputs failed; give --resume "
                "to go on with it, or --overwrite to start anew."
            )
        elif there:
            hint = "--overwrite to replace it"
            if appends(self.output, self.format):
                hint = "--resume to go on with it, or --overwrite to start anew"
            raise UsageError(f"{there} is there already; give {hint}.")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the output while the block runs. UsageError while one writes into it.

        What was there is looked at again, as another run may have ended meanwhile.
        """
        if self.output is None or self._is_device(self.output):
            yield
            return
        with run_lock(name_of_all(self.output, self.format)):
            self._check()
            yield

    @staticmethod
    def _is_device(path: str) -> bool:
        """True for a pipe or a device, which is there and keeps nothing."""
        return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))

    def _side_file(self, output: str) -> str | None:
        """The side file of an output; None for one that needs none, or that is a pipe or a device."""
        if appends(output, self.format) or self._is_device(output):
            return None
        return name_of_all(output, self.format) + ENDING

    def _check_resumable(self, output: str, side: str | None, there: str | None) -> None:
        if appends(output, self.format):
            return
        if side is None:
            raise UsageError(f"--resume goes on with a file, and {output} is none.")
        if there and not os.path.exists(side):
            raise UsageError(
                f"{there} is there, and {side}, which says what of it is done, is not: a run that has done everything "
                "removes it. Give --overwrite to start anew, or use another -o."
            )

    @property
    def is_interactive(self) -> bool:
        """True if results are shown to a person."""
        return self.output is None and self.format is None and sys.stdout.isatty()

    @property
    def _shows_progress(self) -> bool:
        return not self.quiet and sys.stderr.isatty()

    def loading(self, model: str) -> AbstractContextManager[None]:
        """Show that a model is loaded, or converted, while the block runs."""
        return spinner(f"loading {name_of(model)}", shown=self._shows_progress)

    @property
    def kind(self) -> str | None:
        """The format that was asked for, where the ending of the output does not say it."""
        return self.format or ("jsonl" if self.output is None else None)

    @property
    def is_multi_input(self) -> bool:
        """True if there may be more than one input."""
        return len(set(self.inputs)) > 1 or any(map(is_collection, self.inputs))

    @property
    def _appends(self) -> bool:
        return self.resume and self.output is not None and appends(self.output, self.format)

    def form(self, granularity: Level, *, split: bool, **more: Any) -> dict[str, Any]:
        """Arguments of `open_sink` for this output. UsageError for one that cannot be as it is asked for.

        split: each channel has its own result.
        """
        many = split or self.is_multi_input
        form = {"granularity": granularity, "format": self.kind, "append": self._appends, "many": many, **more}
        if not self.is_interactive:
            check_sink(self.output, **form)
        return form

    def sink(self, table: Callable[[], Sink], form: Mapping[str, Any]) -> Sink:
        """The sink that results go to: a table for a person, else the output in its form."""
        return table() if self.is_interactive else open_sink(self.output, **form)

    def recovered(self, runtime: Runtime, granularity: Level, **expected: Any) -> Finished:
        """The work that an earlier run has done, to be closed after the sink. expected: what it has to agree with."""
        if self.output is None:
            return Finished()
        run = run_identity(
            runtime.model.name,
            runtime.engine.precision,
            granularity,
            channels=runtime.options.channels,
            options=_changing_answers(runtime.options),
            **expected,
        )
        if (side := self._side_file(self.output)) is not None:
            return Finished(log=ResumeLog(side, run, resume=self.resume))
        if not self._appends:
            return Finished()
        return Finished(resume_from(self.output, run, _former_names(runtime.options)))

    def entries(self, done: Finished, seen: Callable[[Entry], None] = lambda _: None) -> Iterator[Entry]:
        """The inputs that are not among those done before. seen: called with every input, in order.

        An input that is named again is left out, and a note says so at the end.
        """
        first: str | None = None
        count = 0

        def repeated(entry: Input) -> None:
            nonlocal first, count
            first, count = first or entry.source, count + 1

        for entry in expand(self.inputs, repeated):
            seen(entry)
            if done.expect(key_of(entry.source, entry.id)):
                yield entry
        if count and not self.quiet:
            others = "" if count == 1 else f", and {count - 1} more like it"
            console.print_note(f"{first} is named more than once{others}: each input is answered once.")

    def write(
        self,
        run: Callable[[], Iterable[_Result]],
        sink: Sink,
        done: Finished,
        pipeline: Pipeline[Any, Any, _Result],
        *,
        first: Callable[[_Result], None] = lambda _: None,
    ) -> int:
        """Write every result. Returns the exit code.

        run: begins the run, with `pipeline`. sink: is closed when this returns. first: called with a result before its
        line is written: where that stands, everything of the input stands. Raises Interrupted.
        """
        beside = self.output is None and sys.stdout.isatty()  # the bar and the results are on one terminal
        to_do = self._counted(done)
        meter = ProgressBar(to_do, lambda: pipeline.decoded_s, pipeline.probe, shown=self._shows_progress)
        try:
            with sink, meter:
                for result, new in done.in_order(_noted(run(), done, first)):
                    with meter.hidden() if beside else nullcontext():
                        sink.write(result)
                    if not new:
                        continue
                    meter.add(result)
                    if result.error is not None and not self.is_interactive:
                        console.print_error(str(result.error))
                    if not (self.is_interactive and sys.stderr.isatty()):  # where the table has shown them
                        console.print_warnings(result)
        except KeyboardInterrupt:
            raise Interrupted(self._interrupted(meter)) from None
        if not self.quiet:
            meter.summary(skipped=len(done.keys))
        if not meter.failed:
            done.finish()
        return 1 if meter.failed else 0

    def _interrupted(self, meter: ProgressBar) -> str:
        """The message of a run that was stopped: what of it is written, and how to go on."""
        after = f"interrupted after {meter.counted(meter.done)}"
        if not meter.done:
            return f"{after}; nothing was written."
        if self.output is None:
            return f"{after}; what was done is written."
        remedy = "." if self._is_device(self.output) else "; give --resume to go on."
        return f"{after}; {self.output} has what was done{remedy}"

    def _counted(self, done: Finished) -> Iterator[Entry] | None:
        """The inputs, to be counted beside the run; None where a list comes through a pipe, to be read once."""
        if not all(os.path.isfile(item.removeprefix("@")) for item in self.inputs if is_list_file(item)):
            return None
        return (entry for entry in expand(self.inputs) if key_of(entry.source, entry.id) not in done.keys)


def _changing_answers(options: Options) -> dict[str, object]:
    """Options that change answers and that nothing else of a run's identity says, by name."""
    said = {"channels", "granularity", "labels"}
    return {name: getattr(options, name) for name in ("context", *options.per_call) if name not in said}


def _noted(results: Iterable[_Result], done: Finished, first: Callable[[_Result], None]) -> Iterator[_Result]:
    for result in results:
        if result.ok:
            first(result)
        done.add(result)
        yield result


def _former_names(options: Options) -> dict[str, str]:
    """The names that results have for the models of these options, by those that they had: as they were given."""
    given = (getattr(options, role, None) for role in ("model", "emotion", "vad", "punctuation", "speaker_model"))
    return {model: name_of(model) for model in given if model is not None}
