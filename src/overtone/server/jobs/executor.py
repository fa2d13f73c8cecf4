"""Executor of jobs: has a file answered, behind all other requests, and keeps its record."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from overtone.errors import Code, InputError, ModelError, OvertoneError, RefusedError
from overtone.output.records import Level, json_chunks
from overtone.results import Result, Timings, Transcript
from overtone.server.inference.answer import with_embedding
from overtone.server.inference.model_host import was_unavailable
from overtone.server.inference.models import AnyPipeline
from overtone.server.inference.request import InferenceRequest
from overtone.server.inference.service import Service
from overtone.server.inference.upload_reader import CancellableFile, check_length
from overtone.server.jobs.progress import Progress
from overtone.server.jobs.request import JobContext
from overtone.server.jobs.segment_cache import SegmentCheckpoint
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import Job, JobLease
from overtone.server.settings import Settings

_LOG = logging.getLogger("overtone.server.jobs")

MOST_ATTEMPTS = 3
"""Times that a file is begun. One that takes the process or the model down each time is not given a fourth."""

_WORTH_KEEPING_S = 60.0
"""Seconds of audio. What a shorter file had answered when it was stopped is answered again before it is found."""


class JobExecutor:
    """The files of jobs that are being answered. `run` is called from the event loop, for several at once."""

    def __init__(self, service: Service, store: JobStore, settings: Settings) -> None:
        self.progress = Progress()
        self._service, self._store, self._settings = service, store, settings
        self._threads = ThreadPoolExecutor(settings.jobs_at_once, thread_name_prefix="overtone-job")
        self._callers: dict[tuple[str, int], JobContext] = {}
        self._failures: Counter[tuple[str, int]] = Counter()
        self._ending = False

    def drop(self, job: str) -> None:
        """Stop the files of a job that run, as it was cancelled."""
        for place in [place for place in self._failures if place[0] == job]:
            del self._failures[place]
        for place, ctx in tuple(self._callers.items()):
            if place[0] == job:
                ctx.drop()
        self.progress.remove(job)

    def stop(self) -> None:
        """Stop all that run, and whatever is begun: they go on where they are after the next start."""
        self._ending = True
        for ctx in tuple(self._callers.values()):
            ctx.drop()

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown()

    async def run(self, claim: JobLease) -> None:
        """Have one file answered, and keep the answer, or the reason why there is none."""
        place = claim.job, claim.file.number
        call = call_of(claim)
        try:
            answering = self._service.host.answering(call.task)
        except RefusedError as missing:
            if missing.code != Code.UNKNOWN:
                raise
            # It was handed in to a service that had what it needs.
            failed = _unanswered(claim.file.name, missing)
            await asyncio.to_thread(self._store.failed, *place, _lines([failed], call, call.detail))
            self._ended(place)
            return
        level = call.detail_level(answering.options)
        error: OvertoneError
        try:
            if claim.file.attempts > MOST_ATTEMPTS:
                text = (
                    f"{claim.file.name}: it was begun {MOST_ATTEMPTS} times, and never finished; see the service's log"
                )
                raise ModelError(text, code=Code.GAVE_UP)
            check_length(claim.file.claimed_s or 0.0, self._settings.max_job_audio_s)
            results = await self._answered(answering, claim, call)
        except CancelledError:
            # Of the caller: the job was cancelled, which has freed it, or the service is ending.
            await asyncio.to_thread(self._store.repository.release_lease, *place)
            return
        except OvertoneError as refused:
            if await self._again(place, refused):
                return
            error = refused
        else:
            await self._keep(claim, results, call, level)
            return
        if isinstance(error, ModelError) and error.code != Code.GAVE_UP:
            _LOG.error("the model did not answer: %s", error)
            error = InputError(f"{claim.file.name}: the model cannot run on this audio", code=Code.MODEL_FAILED)
        unanswered = answering.error_result(claim.file.name, error)
        await asyncio.to_thread(self._store.failed, *place, _lines([unanswered], call, level))
        self._ended(place)

    async def _again(self, place: tuple[str, int], error: OvertoneError) -> bool:
        """True if a file that met an error is to be begun again; from then on it waits."""
        if not (was_unavailable(error) or isinstance(error, ModelError)) or error.code == Code.GAVE_UP:
            return False
        if not was_unavailable(error):
            self._failures[place] += 1
            if self._failures[place] >= MOST_ATTEMPTS:
                return False
        # What it died over may have been this file: that counts, or it would take down one service after another.
        await asyncio.to_thread(self._store.repository.release_lease, *place, begun=error.code == Code.DIED)
        if not self._ending:
            await asyncio.sleep(1.0)
        return True

    async def _keep(self, claim: JobLease, results: list[Result], call: InferenceRequest, level: Level) -> None:
        lines = _lines(results, call, level)
        place = claim.job, claim.file.number
        if await asyncio.to_thread(self._store.done, *place, lines):
            self._service.metrics.audio(results[0].duration, "job", call.task)
            self._service.metrics.stage(results[0].timings)
        self._ended(place)

    def _ended(self, place: tuple[str, int]) -> None:
        """Forget the progress and the failures of a file that has its record."""
        self.progress.done(*place)
        self._failures.pop(place, None)

    async def _answered(self, answering: AnyPipeline, claim: JobLease, call: InferenceRequest) -> list[Result]:
        kept = await asyncio.to_thread(self._kept, answering, claim, call)
        place = claim.job, claim.file.number
        ctx = JobContext(self._settings.max_job_audio_s, partial(self.progress.update, *place), kept)
        self._callers[place] = ctx
        if self._ending:
            ctx.drop()

        def work() -> list[Result]:
            with CancellableFile(claim.path, claim.file.name, ctx) as file:
                return [*answering.results_for(file, ctx, **call.options)]

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (Exception, asyncio.CancelledError):  # what the thread ends with when it is stopped comes as the loop's
            if ctx.dropped:
                raise CancelledError from None  # whatever it says, that is why
            raise
        finally:
            del self._callers[place]
            if kept is not None:
                await asyncio.to_thread(kept.close)

    def _kept(self, answering: AnyPipeline, claim: JobLease, call: InferenceRequest) -> SegmentCheckpoint | None:
        """The answers kept of the file so far; None for a short one, of which none are kept."""
        seconds = claim.file.claimed_s
        if seconds is not None and seconds < _WORTH_KEEPING_S:
            return None
        runtime = answering.runtime
        models = (
            f"{self._service.host.fingerprints[call.task]} {runtime.engine.precision} {runtime.engine.backend_name}"
        )
        return SegmentCheckpoint(Path(claim.answers), fingerprint=models)


def call_of(work: JobLease | Job) -> InferenceRequest:
    """The request that a job stands for. Before there was anything else to ask, all asked for emotions."""
    kept = work.options
    return InferenceRequest(
        kept["options"], kept["embedding"], task=kept.get("task", "emotion"), detail=kept.get("detail", "word")
    )


def _lines(results: Sequence[Result], call: InferenceRequest, level: Level) -> Iterator[str]:
    """The records of one file, a line for each channel."""
    for result in results:
        if call.embedding and result.ok:
            yield with_embedding("".join(json_chunks(result, level)), result)
        else:
            yield from json_chunks(result, level)
        yield "\n"


def _unanswered(name: str, error: OvertoneError) -> Transcript:
    return Transcript(
        source=name,
        duration=0.0,
        text="",
        sentences=(),
        model="",
        precision="",
        device="",
        timings=Timings(),
        error=error,
    )
