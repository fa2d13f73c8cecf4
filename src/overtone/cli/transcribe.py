"""`overtone transcribe`: who said what, when, and in what mood."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from overtone.cli.batch_run import BatchRun, Format, Inputs, Output, Overwrite, Quiet, Resume
from overtone.cli.options import resolve_transcription_options, with_transcription_options
from overtone.cli.transcript_table import TranscriptTable
from overtone.options.transcription import TranscribeOptions
from overtone.output import resume as journal
from overtone.output.formats import open_sink
from overtone.output.records import Detail
from overtone.pipelines.transcription import Transcriber

DetailOption = Annotated[
    Detail, typer.Option("--detail", help="How much a record says: text; its sentences; and their words with times.")
]


@with_transcription_options
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
    job = BatchRun(inputs, output, format, resume, overwrite, quiet)
    job.check()
    return _run(job, resolve_transcription_options(options), detail)


def _run(job: BatchRun, options: TranscribeOptions, detail: Detail) -> int:
    form = {**job.sink_options(split=options.channels == "split"), "granularity": detail, "speakers": options.speakers}
    job.check_form(form)
    with ExitStack() as stack:
        transcriber = stack.enter_context(Transcriber.with_options(options))
        done = _recovered(job, transcriber, detail)
        sink = stack.enter_context(TranscriptTable() if job.is_interactive else open_sink(job.output, **form))
        return job.write(
            lambda: transcriber.stream(job.entries(done)), sink, done, decoded_s=lambda: transcriber.decoded_s
        )


def _recovered(job: BatchRun, transcriber: Transcriber, detail: Detail) -> set[str]:
    if not job.resume or job.output is None:
        return set()
    runtime = transcriber.runtime
    return journal.resume_from(
        job.output,
        model=runtime.model.name,
        precision=runtime.engine.precision,
        granularity=detail,
        channels=runtime.options.channels,
        models=transcriber.models,
    )
