"""`overtone emotion`: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import typer

from overtone import journal
from overtone.cli import screen
from overtone.cli.options import chosen, with_options
from overtone.cli.plots import Plots
from overtone.cli.progress import Meter
from overtone.cli.table import TableSink
from overtone.embeddings import EmbeddingWriter
from overtone.emotion import EmotionRecognizer
from overtone.errors import UsageError
from overtone.formats import FORMATS, Sink, already_there, open_sink
from overtone.inputs import Entry, expand, is_list, may_be_many
from overtone.options import Options

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
Embeddings = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--embeddings", metavar="DIR", help="Write an .npz of embeddings for each input."),
]
PlotFolder = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--plot", metavar="DIR", help="Write a PNG of the timeline over the waveform for each input."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar and no summary.")]


@dataclass(frozen=True, slots=True)
class _Job:
    """What the command line asked for, beside the options."""

    inputs: list[str]
    output: str | None
    format: str | None
    resume: bool
    overwrite: bool
    embeddings: str | None
    plots: str | None
    quiet: bool

    def check(self) -> None:
        """UsageError for wishes that are at odds, before anything is loaded."""
        appendable = self.output is not None and self.output.endswith(".jsonl") and "{name}" not in self.output
        if self.resume and not appendable:
            raise UsageError("--resume goes on with a .jsonl file; name it with -o.")
        if self.resume and self.overwrite:
            raise UsageError("--resume keeps what is there and --overwrite replaces it; leave one out.")
        if self.output is None or self.resume or self.overwrite:
            return
        if there := already_there(self.output, self.format):
            hint = (
                "--resume to go on with it, or --overwrite to start anew" if appendable else "--overwrite to replace it"
            )
            raise UsageError(f"{there} is there already; give {hint}.")

    @property
    def on_terminal(self) -> bool:
        """Whether results are shown to a person."""
        return self.output is None and self.format is None and sys.stdout.isatty()


@with_options
def emotion(  # noqa: PLR0913, PLR0917 - a command's options are its interface
    inputs: Inputs,
    output: Output = None,
    format: Format = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    embeddings: Embeddings = None,
    plot: PlotFolder = None,
    quiet: Quiet = False,
    **options: Any,
) -> int:
    """Tell the emotion in speech: a table on a terminal, JSON lines in a pipe, a file with -o."""
    job = _Job(inputs, output, format, resume, overwrite, embeddings, plot, quiet)
    job.check()
    return _run(job, chosen(options))


def _run(job: _Job, options: Options) -> int:
    with ExitStack() as stack:
        # What writes results is imported first: the budget is shared out over what is left.
        plots = Plots(job.plots) if job.plots is not None else None
        vectors = _vectors(job, options)
        recognizer = stack.enter_context(EmotionRecognizer.with_options(options))
        done = _recovered(job, recognizer)
        sink = stack.enter_context(_sink(job, options, recognizer))
        to_do = _counted(job, done)
        meter = stack.enter_context(Meter(to_do, lambda: recognizer.decoded_s, shown=_shows_progress(job)))
        entries = _entries(job, done, plots)
        for result in recognizer.stream(entries, envelope=plots is not None):
            # The line comes last: where it stands, everything of that input stands.
            if vectors is not None and result.ok:
                vectors.write(result)
            if plots is not None and result.ok:
                plots.write(result)
            sink.write(result)
            meter.add(result)
            if result.error is not None and not job.on_terminal:
                screen.complain(str(result.error))
        if not job.quiet:
            meter.summary(skipped=len(done))
        return 1 if meter.failed else 0


def _entries(job: _Job, done: set[str], plots: Plots | None) -> Iterator[Entry]:
    for entry in expand(job.inputs):
        if plots is not None:
            plots.reserve(entry)
        if journal.key_of(entry.source, entry.id) not in done:
            yield entry


def _counted(job: _Job, done: set[str]) -> Iterator[Entry] | None:
    """What is to be done, to be counted beside the run; None where a list comes through a pipe, to be read once."""
    if not all(os.path.isfile(item.removeprefix("@")) for item in job.inputs if is_list(item)):
        return None
    return (entry for entry in expand(job.inputs) if journal.key_of(entry.source, entry.id) not in done)


def _vectors(job: _Job, options: Options) -> EmbeddingWriter | None:
    if job.embeddings is None:
        return None
    return EmbeddingWriter(job.embeddings, "frame" if options.granularity == "frame" else "utterance")


def _recovered(job: _Job, recognizer: EmotionRecognizer) -> set[str]:
    if not job.resume or job.output is None:
        return set()
    runtime = recognizer.runtime
    return journal.recover(
        job.output,
        model=runtime.network.name,
        precision=runtime.precision,
        granularity=runtime.options.granularity,
        channels=runtime.options.channels,
        labels=recognizer.labels,
    )


def _sink(job: _Job, options: Options, recognizer: EmotionRecognizer) -> Sink:
    if job.on_terminal:
        return TableSink(options.granularity)
    kind = job.format or ("jsonl" if job.output is None else None)
    return open_sink(
        job.output,
        format=kind,
        granularity=options.granularity,
        labels=recognizer.labels,
        append=job.resume,
        many=options.channels == "split" or len(set(job.inputs)) > 1 or any(map(may_be_many, job.inputs)),
    )


def _shows_progress(job: _Job) -> bool:
    return not job.quiet and not job.on_terminal and sys.stderr.isatty()
