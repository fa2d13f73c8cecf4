"""`overtone emotion`: the emotion in every input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Optional

import typer

from overtone.cli.batch_run import BatchRun, Format, Inputs, Output, Overwrite, Quiet, Resume
from overtone.cli.emotion_table import TableSink
from overtone.cli.options import resolve_options, with_options
from overtone.cli.plots import Plots
from overtone.options.emotion import Options
from overtone.output.embeddings import EmbeddingWriter
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.results import EmotionResult

Embeddings = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option("--embeddings", metavar="DIR", help="Write an .npz of embeddings for each input."),
]
PlotFolder = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--plot", metavar="DIR", help="Write a PNG of the timeline over the waveform for each input."),
]


@with_options(Options)
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
    job = BatchRun(inputs=inputs, output=output, format=format, resume=resume, overwrite=overwrite, quiet=quiet)
    return _run(job, resolve_options(Options, options), embeddings, plot)


def _run(job: BatchRun, options: Options, embeddings: str | None, plot: str | None) -> int:
    form = job.form(options.granularity, split=options.channels == "split")
    with ExitStack() as stack:
        stack.enter_context(job.lock())
        # What writes results is imported first: the budget is shared out over what is left.
        plots = Plots(plot) if plot is not None else None
        vectors = _vectors(embeddings, options)
        with job.loading(options.model):
            recognizer = stack.enter_context(EmotionRecognizer.with_options(options))
        recovered = job.recovered(recognizer.runtime, options.granularity, labels=recognizer.labels)
        done = stack.enter_context(recovered)
        form["labels"] = recognizer.labels
        sink = job.sink(lambda: TableSink(options.granularity), form)

        def first(result: EmotionResult) -> None:
            if vectors is not None:
                vectors.write(result)
            if plots is not None:
                plots.write(result)

        def run() -> Iterator[EmotionResult]:
            # A picture's name is kept for what was done before, too.
            entries = job.entries(done) if plots is None else job.entries(done, plots.reserve)
            return recognizer.stream(entries, envelope=plots is not None)

        return job.write(run, sink, done, recognizer, first=first)


def _vectors(folder: str | None, options: Options) -> EmbeddingWriter | None:
    if folder is None:
        return None
    return EmbeddingWriter(folder, "frame" if options.granularity == "frame" else "utterance")
