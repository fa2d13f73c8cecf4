"""The runner of jobs: takes in jobs, and has their files answered one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from overtone.errors import Code, OvertoneError, RefusedError
from overtone.server.inference.service import Service
from overtone.server.jobs.durable_files import STORAGE
from overtone.server.jobs.executor import JobExecutor
from overtone.server.jobs.last_death import DeathWatch
from overtone.server.jobs.progress import Progress
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import Job, JobLease, NewFile, RequestKey
from overtone.server.settings import Settings
from overtone.system.memory import format_size, parse_size

_LOG = logging.getLogger("overtone.server.jobs")

_AFTER_FAULT_S = 3.0
"""Seconds after which a file that met a fault of the service, such as a full disk, is begun again."""

_RUNNING = "running"
"""Name of the file that is there while the service runs, see `last_death.py`."""

_COUNT_S = 1.0
"""Seconds between two countings of what waits."""

_HOUSEKEEPING_S = 30.0
"""Seconds between two looks for jobs whose time is over."""


class JobRunner:
    """Runs the jobs of a store, so many files at a time. Used from the event loop."""

    def __init__(self, service: Service, store: JobStore, settings: Settings) -> None:
        self.store, self._repository = store, store.repository
        self._service, self._settings = service, settings
        self._files = JobExecutor(service, store, settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._aside: list[asyncio.Task[None]] = []
        self._more = asyncio.Event()
        self._ending = False
        self._changed = asyncio.Event()
        self._death = DeathWatch(settings.jobs_folder / _RUNNING)
        self._receiving: set[tuple[str | None, str]] = set()
        self.states: Mapping[str, int] = {}
        self.waiting_s = 0.0

    @property
    def progress(self) -> Progress:
        """Progress of the files that run."""
        return self._files.progress

    async def open(self) -> None:
        """Go on with what a process before this one left."""
        fault = await asyncio.to_thread(self._death.begin)
        again = await asyncio.to_thread(partial(self.store.requeue_running, fault=fault))
        await asyncio.to_thread(self.store.sweep)
        if again:
            _LOG.warning("%d files of jobs go on where they were stopped", again)
        await self._count()
        self._aside = [asyncio.create_task(self._keep_house()), asyncio.create_task(self._keep_counting())]
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.jobs_at_once)]

    async def check_room(self, owner: str | None, seconds: float, size_bytes: int) -> None:
        """RefusedError (busy) where so much more audio cannot wait, of all or of this owner, (no_space) for bytes."""
        most_s, share = self._settings.jobs_audio_s, self._settings.key_share
        bounds = [(await asyncio.to_thread(self._repository.queue_load), most_s, "")]
        if owner is not None:
            load = await asyncio.to_thread(self._repository.queue_load_of, owner)
            bounds.append((load, most_s * share, " of this key"))
        for load, bound_s, whose in bounds:
            if load.files and load.claimed_s + seconds > bound_s:
                raise RefusedError(
                    f"{load.claimed_s:.0f} s of audio{whose} wait in jobs, and {bound_s:.0f} s are the most; hand it "
                    "in later.",
                    code=Code.BUSY,
                    retry_after_s=min(3600.0, max(1.0, seconds / max(self._service.host.rate, 1e-9))),
                )
        held, most = await asyncio.to_thread(self._repository.held_bytes), parse_size(self._settings.jobs_size)
        if held + size_bytes > most:
            raise RefusedError(
                f"jobs and their results take {format_size(held)}, and {format_size(most)} are the most; fetch and "
                "delete some, or hand it in later.",
                code=Code.NO_SPACE,
                retry_after_s=60.0,
            )

    @contextmanager
    def receiving(self, owner: str | None, key: str | None) -> Iterator[None]:
        """Hold a request's key while the block runs. RefusedError (conflict) while another request holds it."""
        if key is None:
            yield
            return
        if (owner, key) in self._receiving:
            raise RefusedError(
                "a request with this Idempotency-Key is being received; ask again once it is through.",
                code=Code.CONFLICT,
                retry_after_s=1.0,
            )
        self._receiving.add((owner, key))
        try:
            yield
        finally:
            self._receiving.discard((owner, key))

    async def add(
        self, owner: str | None, options: Mapping[str, Any], files: Sequence[NewFile], key: RequestKey | None = None
    ) -> Job:
        """Take in a job. RefusedError as `check_room`, and (no_space) where the disk is full."""
        await self.check_room(owner, sum(file.claimed_s or 0.0 for file in files), 0)
        job = await asyncio.to_thread(self.store.add, owner, options, files, self._settings.jobs_kept_s, key)
        self.wake()
        self._changed.set()
        return job

    async def retry(self, job: Job) -> int:
        """Run the files of a job again that failed and whose audio was kept. Their number; 0 if there are none.
        RefusedError as `check_room`."""
        await self.check_room(job.owner, await asyncio.to_thread(self._repository.retryable_seconds, job.id), 0)
        count = await asyncio.to_thread(self.store.retry, job.id)
        self.wake()
        self._changed.set()
        return count

    async def cancel(self, id: str) -> None:
        """Cancel a job: what of it runs is stopped, and its files are gone when this returns."""
        await asyncio.to_thread(self.store.cancel, id)
        self._files.drop(id)
        self._changed.set()

    def wake(self) -> None:
        """Have the workers look for files that wait, as there may be some."""
        self._more.set()

    def stop(self) -> None:
        """Begin no more files, and stop those that run: they go on where they are after the next start."""
        self._ending = True
        self.wake()
        self._files.stop()

    async def close(self) -> None:
        """Wait until nothing runs any more."""
        self.stop()
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._aside, return_exceptions=True)
        self._files.close()
        await asyncio.to_thread(self._death.end)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            with suppress(OvertoneError):
                await asyncio.to_thread(self.store.expire)
                self._changed.set()

    async def _keep_counting(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._count()
            await asyncio.sleep(_COUNT_S)  # a backlog takes its time to be added up

    async def _count(self) -> None:
        with suppress(OvertoneError):  # it is for show; what is done is done
            self.waiting_s = (await asyncio.to_thread(self._repository.queue_load)).claimed_s
            self.states = await asyncio.to_thread(self._repository.counts)

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
                continue
            self._changed.set()
            try:
                await self._files.run(claim)
            except Exception as error:  # noqa: BLE001 - one file must not end them all
                disk = isinstance(error, OvertoneError) and error.code in STORAGE
                if disk:
                    _LOG.error("a file of a job could not be finished, and waits: %s", error)
                else:
                    _LOG.exception("a file of a job could not be finished")
                await self._hand_back(claim, begun=not (disk or isinstance(error, RefusedError)))
            self._changed.set()

    async def _hand_back(self, claim: JobLease, *, begun: bool) -> None:
        """Have a file wait again, once that can be written down: a disk that was full may not be for ever.

        begun: it counts as one of its attempts, so that a file that is never finished does not keep others waiting.
        """
        while True:
            self._more.clear()
            if not self._ending:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._more.wait(), _AFTER_FAULT_S)
            try:
                if begun:
                    return await asyncio.to_thread(self.store.hand_back, claim)
                return await asyncio.to_thread(self.store.leases.release, claim.job, claim.file.number)
            except OvertoneError:
                if self._ending:
                    return None  # the next start does it
