"""Executor of jobs: has a file answered, behind all other requests, and keeps its record."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from overtone.errors import Code, InputError, ModelError, OvertoneError, RefusedError
from overtone.output.records import Level, json_chunks
from overtone.results import Result, Timings, Transcript
from overtone.server.inference.answer import with_embedding
from overtone.server.inference.model_host import was_unavailable
from overtone.server.inference.models import AnyPipeline
from overtone.server.inference.request import InferenceRequest
from overtone.server.inference.service import Service
from overtone.server.inference.upload_reader import CancellableFile, check_length
from overtone.server.jobs.durable_files import STORAGE
from overtone.server.jobs.progress import Progress
from overtone.server.jobs.request import JobContext
from overtone.server.jobs.segment_cache import SegmentCheckpoint
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import CERTAIN, Job, JobLease
from overtone.server.settings import Settings
from overtone.system.temporary_files import temporary_storage_problem

_LOG = logging.getLogger("overtone.server.jobs")

MOST_ATTEMPTS = 3
"""Times that the process or the model may end over a fault while a file runs, without anything of it coming out. It is
not given a fourth, unless it is asked for. Of kills, `CERTAIN` times as many."""

_LOOK_S = 1.0
"""Seconds between two looks at a disk that was full, and before a file is begun again."""

_AUDIO_KEPT = frozenset({Code.GAVE_UP, Code.MODEL_FAILED, Code.UNKNOWN, *STORAGE})
"""Codes of errors that are not known to be the file's, beside those that are `retryable`: its audio is kept."""


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
            await self._fail(place, _unanswered(claim.file.name, missing), call, call.detail)
            return
        level = call.detail_level(answering.options)
        error: OvertoneError
        try:
            if claim.file.attempts >= MOST_ATTEMPTS * CERTAIN:
                text = (
                    f"{claim.file.name}: the service ended again and again while it ran, and nothing of it came out; "
                    f"see the service's log. Its audio is kept: POST /v1/jobs/{claim.job}/retry runs it again"
                )
                raise ModelError(text, code=Code.GAVE_UP)
            check_length(claim.file.claimed_s or 0.0, self._settings.max_job_audio_s)
            results = await self._answered(answering, claim, call)
        except CancelledError:
            # Of the caller: the job was cancelled, which has freed it, or the service is ending.
            await asyncio.to_thread(self._store.leases.release, *place)
            return
        except OvertoneError as refused:
            if await self._again(claim, refused):
                return
            error = refused
        else:
            await self._keep(claim, results, call, level)
            return
        if isinstance(error, ModelError) and error.code != Code.GAVE_UP:
            _LOG.error("the model did not answer: %s", error)
            error = InputError(f"{claim.file.name}: the model cannot run on this audio", code=Code.MODEL_FAILED)
        elif error.code in STORAGE:
            _LOG.error("a file of a job is given up: %s", error)  # with the folder's path, unlike the record
            text = (
                f"{claim.file.name}: the service has not enough room for the temporary files of it. Its audio is kept: "
                f"POST /v1/jobs/{claim.job}/retry runs it again"
            )
            error = RefusedError(text, code=error.code)
        await self._fail(place, answering.error_result(claim.file.name, error), call, level)

    async def _fail(self, place: tuple[str, int], unanswered: Result, call: InferenceRequest, level: Level) -> None:
        """Keep the record of a file that has no answer, and its audio where another run may have one."""
        error = unanswered.error
        retryable = error is not None and (error.retryable or error.code in _AUDIO_KEPT)
        lines = _lines([unanswered], call, level)
        await asyncio.to_thread(partial(self._store.failed, *place, lines, retryable=retryable))
        self._ended(place)

    async def _again(self, claim: JobLease, error: OvertoneError) -> bool:
        """True if a file that met an error is to be begun again; from then on it waits."""
        place = claim.job, claim.file.number
        disk = error.code in STORAGE
        if not (disk or was_unavailable(error) or isinstance(error, ModelError)) or error.code == Code.GAVE_UP:
            return False
        if not (disk and await self._had_no_room(error)) and not was_unavailable(error):
            self._failures[place] += 1
            if self._failures[place] >= MOST_ATTEMPTS:
                return False
        if error.code == Code.DIED:
            # What it died over may have been this file: that counts, or it would take down one service after another.
            await asyncio.to_thread(self._store.hand_back, claim)
        else:
            await asyncio.to_thread(self._store.leases.release, *place)
        if not self._ending:
            await asyncio.sleep(_LOOK_S)
        return True

    async def _had_no_room(self, error: OvertoneError) -> bool:
        """True if temporary files find no room even without those of the file that failed; room is waited for. False
        if that file alone may need too much."""
        if await asyncio.to_thread(temporary_storage_problem) is None:
            return False
        _LOG.error("files of jobs wait: %s", error)
        while not self._ending and await asyncio.to_thread(temporary_storage_problem) is not None:
            await asyncio.sleep(_LOOK_S)
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
        on_answer = partial(self._clear, place) if claim.file.suspect else _do_nothing
        ctx = JobContext(self._settings.max_job_audio_s, partial(self.progress.update, *place), kept, on_answer)
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
            await asyncio.to_thread(kept.close)

    def _clear(self, place: tuple[str, int]) -> None:
        """Let other files run beside one again that is no suspect any more. For any thread."""
        with suppress(OvertoneError):  # then it runs alone to its end
            self._store.leases.clear_suspicion(*place)

    def _kept(self, answering: AnyPipeline, claim: JobLease, call: InferenceRequest) -> SegmentCheckpoint:
        """The answers kept of the file so far."""
        runtime = answering.runtime
        models = (
            f"{self._service.host.fingerprints[call.task]} {runtime.engine.precision} {runtime.engine.backend_name}"
        )
        return SegmentCheckpoint(claim.answers, fingerprint=models, start=claim.file.starts)


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


def _do_nothing() -> None:
    pass


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
