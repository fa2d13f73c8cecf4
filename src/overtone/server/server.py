"""`Server`: the parts of a service put together, opened in order and closed in order."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from overtone.emotion import EmotionRecognizer
from overtone.errors import UsageError
from overtone.memory import MIB, parse_size
from overtone.options import Options
from overtone.resources import rss_bytes
from overtone.runtime import Beside
from overtone.server.admission import Admission, AdmissionLimits
from overtone.server.cache import Answers, open_store
from overtone.server.host import Host
from overtone.server.jobs.runner import JobRunner
from overtone.server.jobs.store import JobStore
from overtone.server.keys import Keyring
from overtone.server.metrics import Metrics, Snapshot
from overtone.server.service import Bounds, Service
from overtone.server.settings import Settings
from overtone.server.ui.kept import SHELF_BYTES
from overtone.server.uploads import Spool, UploadLimits
from overtone.stages import OFF

_REQUESTS_BYTES = 64 * MIB
"""What requests under way hold beside their audio: pieces of uploads on their way to disk, answers on their way out."""


def recognizer_for(options: Options, settings: Settings) -> EmotionRecognizer:
    """A recogniser with room planned for what the service holds beside it. UsageError for files that run whole."""
    if options.whole:
        raise UsageError(
            "a service cuts what it is sent, so that nobody waits for an hour of another's; leave out "
            "--context full and --segment none."
        )
    cache_bytes = parse_size(settings.cache_size) if settings.cache == "memory" else 0
    held_bytes = cache_bytes + _REQUESTS_BYTES + (SHELF_BYTES if settings.page else 0)
    beside = Beside(settings.jobs_at_once, settings.live_streams, held_bytes)
    return EmotionRecognizer.with_options(options, OFF, beside=beside)


class Server:
    """Everything that a service is made of. `open` it, and `close` it whatever happened.

    start: makes the recogniser; called in a thread, and once more if the first one dies. Raises UsageError for settings
    that cannot be used.
    """

    def __init__(self, settings: Settings, start: Callable[[], EmotionRecognizer]) -> None:
        self.settings = settings
        self.keyring = None if settings.keys is None else Keyring.read(Path(settings.keys))
        self.metrics = Metrics(self)
        self.died = asyncio.Event()
        """Set when the second recogniser has died too: nothing answers any more."""
        self.host = Host(start, self.died.set)
        cache = open_store(settings.cache, parse_size(settings.cache_size), settings.cache_kept_s)
        admission = AdmissionLimits(
            settings.queue_audio_s,
            settings.deadline_s,
            settings.queue_audio_s * settings.key_share if self.keyring else None,
            settings.live_streams,
        )
        bounds = Bounds(settings.max_audio_s, settings.deadline_s)
        self.service = Service(self.host, Admission(admission), Answers(cache), bounds, self.metrics)
        self.spool = Spool(_uploads_folder(settings), _upload_limits(settings))
        try:
            self.store = JobStore(settings.jobs_folder)
        except BaseException:
            self.spool.close()
            raise
        self.jobs = JobRunner(self.service, self.store, settings)

    async def open(self) -> None:
        """Load the model and go on with the jobs that wait. Raises what loading raises."""
        await self.host.open()
        await self.jobs.open()

    def drain(self) -> None:
        """Let nothing new in; what was admitted goes on, but for jobs, which go on after the next start."""
        self.service.draining.set()
        self.jobs.stop()

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self.service.admission.queued_s and not self.service.admission.live

    async def close(self) -> None:
        """End it all. What was admitted has been answered, or is given up."""
        self.drain()
        await self.jobs.close()
        await self.service.close()
        await self.host.close()
        await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(self.spool.close)

    def snapshot(self) -> Snapshot:
        """The state now, for the metrics."""
        last, answers = self.host.last, self.service.answers
        engine = None if last is None else last.runtime.engine
        plan = None if engine is None else engine.plan
        return Snapshot(
            queue_seconds={
                "interactive": self.service.admission.queued_s,
                "jobs": self.jobs.waiting_s,
                "live": self.service.admission.live_load,
            },
            queue_bytes=0 if engine is None else engine.queued_bytes,
            uploads_bytes=self.spool.held_bytes,
            engine=self.host.stats,
            memory_budget_bytes=0 if plan is None else plan.budget_bytes,
            memory_planned_bytes=0 if plan is None else plan.planned_bytes,
            memory_resident_bytes=rss_bytes(),
            memory_peak_bytes=0 if engine is None else engine.peak_bytes,
            cache_hits=answers.hits,
            cache_shared=answers.shared,
            cache_misses=answers.misses,
            cache_bytes=answers.held_bytes,
            cache_healthy=answers.healthy,
            jobs=Counter(self.jobs.states),
            live_streams=self.service.admission.live,
            ready=self.host.state == "ready" and not self.service.draining.is_set(),
            restarts=self.host.restarts,
            audio_seconds_rate=self.host.recent_rate,
            devices=0 if engine is None else engine.device.count(",") + 1,
            model="" if last is None else last.runtime.network.name,
            precision="" if last is None else last.runtime.precision,
            device="" if last is None else last.runtime.device,
        )


def _uploads_folder(settings: Settings) -> Path | None:
    """Where uploads are kept: by default a folder of this user's, so that what a killed service left is found again."""
    if settings.uploads is not None:
        return Path(settings.uploads)
    own = Path(tempfile.gettempdir()) / f"overtone-{os.getuid()}"
    with suppress(OSError):
        own.mkdir(mode=0o700, exist_ok=True)
        if not own.is_symlink() and own.stat().st_uid == os.getuid():
            return own
    return None  # somebody else has that name


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        most_bytes=parse_size(settings.max_upload),
        most_files=settings.max_files,
        idle_s=settings.upload_idle_s,
        least_rate=settings.upload_rate,
        total_bytes=parse_size(settings.uploads_size),
    )


def start_with(options: Options, settings: Settings) -> Callable[[], EmotionRecognizer]:
    """What `Server` is to start with."""
    return partial(recognizer_for, options, settings)
