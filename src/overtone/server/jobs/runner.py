"""The runner of jobs: takes in jobs, and has their files answered one after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from overtone.errors import Code, OvertoneError, RefusedError
from overtone.server.inference.service import Service
from overtone.server.jobs.executor import JobExecutor
from overtone.server.jobs.progress import Progress
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import Job, JobLease, NewFile
from overtone.server.settings import Settings
from overtone.system.memory import format_size, parse_size

_LOG = logging.getLogger("overtone.server.jobs")

_AFTER_FAULT_S = 3.0
"""Seconds after which a file that met a fault of the service, such as a full disk, is begun again."""

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
        self._more = asyncio.Event()
        self._ending = False
        self._counted_at = -_COUNT_S
        self._uncounted = False
        self.states: Mapping[str, int] = {}
        self.waiting_s = 0.0

    @property
    def progress(self) -> Progress:
        """Progress of the files that run."""
        return self._files.progress

    async def open(self) -> None:
        """Go on with what a process before this one left."""
        again = await asyncio.to_thread(self._repository.requeue_running)
        await asyncio.to_thread(self.store.sweep)
        if again:
            _LOG.warning("%d files of jobs go on where they were stopped", again)
        await self._count()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.jobs_at_once)]
        self._tasks.append(asyncio.create_task(self._keep_house()))

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

    async def add(self, owner: str | None, options: Mapping[str, Any], files: Sequence[NewFile]) -> Job:
        """Take in a job. RefusedError as `check_room`, and (no_space) where the disk is full."""
        await self.check_room(owner, sum(file.claimed_s or 0.0 for file in files), 0)
        job = await asyncio.to_thread(self.store.add, owner, options, files, self._settings.jobs_kept_s)
        self.wake()
        await self._count()
        return job

    async def cancel(self, id: str) -> None:
        """Cancel a job: what of it runs is stopped, and its files are gone when this returns."""
        await asyncio.to_thread(self.store.cancel, id)
        self._files.drop(id)
        await self._count()

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
        if self._tasks:
            self._tasks.pop().cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._files.close()

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
                if self._uncounted:
                    await self._count()
                continue
            try:
                await self._files.run(claim)
            except Exception as error:  # noqa: BLE001 - one file must not end them all
                _LOG.exception("a file of a job could not be finished")
                await self._hand_back(claim, begun=not isinstance(error, RefusedError))
            await self._count()

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
                place = claim.job, claim.file.number
                return await asyncio.to_thread(partial(self._repository.release_lease, *place, begun=begun))
            except OvertoneError:
                if self._ending:
                    return None  # the next start does it
