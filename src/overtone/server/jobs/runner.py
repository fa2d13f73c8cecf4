"""The runner of jobs: takes the next file, has it answered behind everybody who waits, and keeps what was said."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from overtone.errors import InputError, ModelError, OvertoneError, RefusedError
from overtone.memory import format_size, parse_size
from overtone.record import Level, json_chunks
from overtone.server.calls import Call, with_embedding
from overtone.server.host import was_gone
from overtone.server.jobs.answers import KeptAnswers
from overtone.server.jobs.caller import JobCaller
from overtone.server.jobs.progress import Progress
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import Claim, Job, NewFile
from overtone.server.models import Answering
from overtone.server.reading import GuardedFile, check_length
from overtone.server.service import Service
from overtone.server.settings import Settings
from overtone.values import Result, Timings, Transcript

_LOG = logging.getLogger("overtone.server.jobs")

MOST_ATTEMPTS = 3
"""Times that a file is begun. One that takes the process or the model down each time is not given a fourth."""

_WORTH_KEEPING_S = 60.0
"""Seconds of audio. What a shorter file had answered when it was stopped is answered again before it is found."""

_AFTER_FAULT_S = 3.0
"""Seconds after which a file that met a fault of the service, such as a full disk, is begun again."""

_COUNT_S = 1.0
"""Seconds between two countings of what waits."""

_HOUSEKEEPING_S = 30.0
"""Seconds between two looks for jobs whose time is over."""


class JobRunner:
    """Runs what is in a store, so many files at a time. Used from the event loop."""

    def __init__(self, service: Service, store: JobStore, settings: Settings) -> None:
        self.store, self.progress = store, Progress()
        self._service, self._settings = service, settings
        self._threads = ThreadPoolExecutor(settings.jobs_at_once, thread_name_prefix="overtone-job")
        self._tasks: list[asyncio.Task[None]] = []
        self._callers: dict[tuple[str, int], JobCaller] = {}
        self._failures: Counter[tuple[str, int]] = Counter()
        self._more = asyncio.Event()
        self._ending = False
        self._counted_at = -_COUNT_S
        self._uncounted = False
        self.states: Mapping[str, int] = {}
        self.waiting_s = 0.0

    async def open(self) -> None:
        """Go on with what a process before this one left."""
        again = await asyncio.to_thread(self.store.requeue_running)
        await asyncio.to_thread(self.store.sweep)
        if again:
            _LOG.warning("%d files of jobs go on where they were stopped", again)
        await self._count()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.jobs_at_once)]
        self._tasks.append(asyncio.create_task(self._keep_house()))

    async def check_room(self, owner: str | None, seconds: float, size_bytes: int) -> None:
        """RefusedError (busy) where so much more audio cannot wait, of all or of this owner, (no_space) for bytes."""
        most_s, share = self._settings.jobs_audio_s, self._settings.key_share
        bounds = [(await asyncio.to_thread(self.store.waiting), most_s, "")]
        if owner is not None:
            bounds.append((await asyncio.to_thread(self.store.waiting_of, owner), most_s * share, " of this key"))
        for load, bound_s, whose in bounds:
            if load.files and load.claimed_s + seconds > bound_s:
                raise RefusedError(
                    f"{load.claimed_s:.0f} s of audio{whose} wait in jobs, and {bound_s:.0f} s are the most; hand it "
                    "in later.",
                    code="busy",
                    retry_after_s=min(3600.0, max(1.0, seconds / max(self._service.host.rate, 1e-9))),
                )
        held, most = await asyncio.to_thread(self.store.held_bytes), parse_size(self._settings.jobs_size)
        if held + size_bytes > most:
            raise RefusedError(
                f"jobs and their results take {format_size(held)}, and {format_size(most)} are the most; fetch and "
                "delete some, or hand it in later.",
                code="no_space",
                retry_after_s=60.0,
            )

    async def add(self, owner: str | None, options: Mapping[str, Any], files: Sequence[NewFile]) -> Job:
        """Take in a job. RefusedError as `check_room`, and (no_space) where the disk is full."""
        await self.check_room(owner, sum(file.claimed_s or 0.0 for file in files), 0)
        job = await asyncio.to_thread(self.store.add, owner, options, files, self._settings.jobs_kept_s)
        self.wake()
        await self._count()
        return job

    async def cancel(self, id: str) -> None:
        """Nobody wants a job any more: what of it runs is stopped, and its files are gone when this returns."""
        await asyncio.to_thread(self.store.cancel, id)
        for place in [place for place in self._failures if place[0] == id]:
            del self._failures[place]
        for (job, _), caller in tuple(self._callers.items()):
            if job == id:
                caller.drop()
        self.progress.forget(id)
        await self._count()

    def wake(self) -> None:
        """There may be something to do."""
        self._more.set()

    def stop(self) -> None:
        """Begin no more files, and stop those that run: they go on where they are after the next start."""
        self._ending = True
        self.wake()
        for caller in tuple(self._callers.values()):
            caller.drop()

    async def close(self) -> None:
        """Wait until nothing runs any more."""
        self.stop()
        if self._tasks:
            self._tasks.pop().cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            with suppress(OvertoneError):
                await asyncio.to_thread(self.store.expire, time.time())
                await self._count()

    async def _count(self) -> None:
        self._uncounted = (now := time.monotonic()) < self._counted_at + _COUNT_S
        if self._uncounted:
            return  # a backlog takes its time to be added up; a worker that waits does it
        self._counted_at = now
        with suppress(OvertoneError):  # it is for show; what is done is done
            self.waiting_s = (await asyncio.to_thread(self.store.waiting)).claimed_s
            self.states = await asyncio.to_thread(self.store.counts)

    async def _work(self) -> None:
        while not self._ending:
            self._more.clear()
            claim = None
            if self._service.host.state == "ready":
                try:
                    claim = await asyncio.to_thread(self.store.claim_next)
                except OvertoneError as error:
                    _LOG.error("no job can be begun: %s", error)
            if claim is None:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._more.wait(), 1.0)
                if self._uncounted:
                    await self._count()
                continue
            try:
                await self._run(claim)
            except Exception as error:  # noqa: BLE001 - one file must not end them all
                _LOG.exception("a file of a job could not be finished")
                await self._hand_back(claim, begun=not isinstance(error, RefusedError))
            await self._count()

    async def _hand_back(self, claim: Claim, *, begun: bool) -> None:
        """Have a file wait again, once that can be written down: a disk that was full may not be for ever.

        begun: it counts as one of its attempts, so that a file that is never finished does not keep others waiting.
        """
        while True:
            self._more.clear()
            if not self._ending:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._more.wait(), _AFTER_FAULT_S)
            try:
                place = claim.job, claim.file.number
                return await asyncio.to_thread(partial(self.store.hand_back, *place, begun=begun))
            except OvertoneError:
                if self._ending:
                    return None  # the next start does it

    async def _run(self, claim: Claim) -> None:
        """Have one file answered, and keep the answer, or the reason why there is none."""
        place = claim.job, claim.file.number
        call = call_of(claim)
        try:
            answering = self._service.host.answering(call.task)
        except RefusedError as missing:
            if missing.code != "unknown":
                raise
            # It was handed in to a service that had what it needs.
            failed = _unanswered(claim.file.name, missing)
            await asyncio.to_thread(self.store.failed, *place, _lines([failed], call, call.detail))
            self._ended(place)
            return
        level = call.level(answering.options)
        error: OvertoneError
        try:
            if claim.file.attempts > MOST_ATTEMPTS:
                text = (
                    f"{claim.file.name}: it was begun {MOST_ATTEMPTS} times, and never finished; see the service's log"
                )
                raise ModelError(text, code="gave_up")
            check_length(claim.file.claimed_s or 0.0, self._settings.max_job_audio_s)
            results = await self._answered(answering, claim, call)
        except CancelledError:
            # Of the caller: the job was cancelled, which has freed it, or the service is ending.
            await asyncio.to_thread(self.store.hand_back, *place)
            return
        except OvertoneError as refused:
            if await self._again(place, refused):
                return
            error = refused
        else:
            await self._keep(claim, results, call, level)
            return
        if isinstance(error, ModelError) and error.code != "gave_up":
            _LOG.error("the model did not answer: %s", error)
            error = InputError(f"{claim.file.name}: the model cannot run on this audio", code="model_failed")
        unanswered = answering.unanswered(claim.file.name, error)
        await asyncio.to_thread(self.store.failed, *place, _lines([unanswered], call, level))
        self._ended(place)

    async def _again(self, place: tuple[str, int], error: OvertoneError) -> bool:
        """Whether a file that met an error is to be begun again, and then it waits again."""
        if not (was_gone(error) or isinstance(error, ModelError)) or error.code == "gave_up":
            return False
        if not was_gone(error):
            self._failures[place] += 1
            if self._failures[place] >= MOST_ATTEMPTS:
                return False
        # What it died over may have been this file: that counts, or it would take down one service after another.
        await asyncio.to_thread(self.store.hand_back, *place, begun=error.code == "died")
        if not self._ending:
            await asyncio.sleep(1.0)
        return True

    async def _keep(self, claim: Claim, results: list[Result], call: Call, level: Level) -> None:
        lines = _lines(results, call, level)
        place = claim.job, claim.file.number
        if await asyncio.to_thread(self.store.done, *place, lines):
            self._service.metrics.audio(results[0].duration, "job", call.task)
            self._service.metrics.stage(results[0].timings)
        self._ended(place)

    def _ended(self, place: tuple[str, int]) -> None:
        """A file has its record, and is not looked at any more."""
        self.progress.done(*place)
        self._failures.pop(place, None)

    async def _answered(self, answering: Answering, claim: Claim, call: Call) -> list[Result]:
        kept = await asyncio.to_thread(self._kept, answering, claim, call)
        place = claim.job, claim.file.number

        def told(seconds: float) -> None:
            self.progress.at(*place, seconds)

        caller = JobCaller(self._settings.max_job_audio_s, told, kept)
        self._callers[place] = caller
        if self._ending:
            caller.drop()

        def work() -> list[Result]:
            with GuardedFile(claim.path, claim.file.name, caller) as file:
                return [*answering.each(file, caller, **call.options)]

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (Exception, asyncio.CancelledError):  # what the thread ends with when it is stopped comes as the loop's
            if caller.dropped:
                raise CancelledError from None  # whatever it says, that is why
            raise
        finally:
            del self._callers[place]
            if kept is not None:
                await asyncio.to_thread(kept.close)

    def _kept(self, answering: Answering, claim: Claim, call: Call) -> KeptAnswers | None:
        """What was said of the file before."""
        seconds = claim.file.claimed_s
        if seconds is not None and seconds < _WORTH_KEEPING_S:
            return None
        runtime = answering.runtime
        models = f"{self._service.host.fingerprints[call.task]} {runtime.precision} {runtime.backend}"
        return KeptAnswers(Path(claim.answers), fingerprint=models)


def call_of(work: Claim | Job) -> Call:
    """What a job asks for. Before there was anything else to ask, all asked for emotions."""
    kept = work.options
    return Call(kept["options"], kept["embedding"], task=kept.get("task", "emotion"), detail=kept.get("detail", "word"))


def _lines(results: Sequence[Result], call: Call, level: Level) -> Iterator[str]:
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
