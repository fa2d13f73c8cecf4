"""`overtone transcribe`: the words in every input, their speakers, times and emotions."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from overtone.cli.batch_run import BatchRun, Format, Inputs, Output, Overwrite, Quiet, Resume
from overtone.cli.options import resolve_options, with_options
from overtone.cli.transcript_table import TranscriptTable
from overtone.options.transcription import TranscribeOptions
from overtone.output.records import Detail
from overtone.pipelines.transcription import Transcriber

DetailOption = Annotated[
    Detail, typer.Option("--detail", help="How much a record says: text; its sentences; and their words with times.")
]


@with_options(TranscribeOptions)
def transcribe(
    inputs: Inputs,
    output: Output = None,
    format: Format = None,
    detail: DetailOption = "word",
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    **options: Any,
) -> int:
    """Write down what is said: a table on a terminal, JSON lines in a pipe, a file or subtitles with -o."""
    job = BatchRun(inputs=inputs, output=output, format=format, resume=resume, overwrite=overwrite, quiet=quiet)
    return _run(job, resolve_options(TranscribeOptions, options), detail)


def _run(job: BatchRun, options: TranscribeOptions, detail: Detail) -> int:
    form = job.form(detail, split=options.channels == "split", speakers=options.speakers)
    with ExitStack() as stack:
        stack.enter_context(job.lock())
        with job.loading(options.model):
            transcriber = stack.enter_context(Transcriber.with_options(options))
        done = stack.enter_context(job.recovered(transcriber.runtime, detail, models=transcriber.models))
        sink = job.sink(TranscriptTable, form)
        return job.write(lambda: transcriber.stream(job.entries(done)), sink, done, transcriber)
