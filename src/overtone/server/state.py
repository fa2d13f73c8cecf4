"""`Server`: the parts of a service put together, opened in order and closed in order."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from overtone.engine.runtime import ReservedCapacity, decoder_count
from overtone.errors import UsageError
from overtone.models.family import Role
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.pipelines.transcription import Transcriber
from overtone.server.auth import Keyring
from overtone.server.cache import ResultCache, open_store
from overtone.server.inference.admission import Admission, AdmissionLimits
from overtone.server.inference.answer import CachedAnswer
from overtone.server.inference.model_host import ModelSupervisor
from overtone.server.inference.models import ModelSet
from overtone.server.inference.service import RequestLimits, Service
from overtone.server.jobs.runner import JobRunner
from overtone.server.jobs.store import JobStore
from overtone.server.observability.metrics import Metrics, Snapshot
from overtone.server.observability.storage_health import StorageHealth
from overtone.server.settings import Settings
from overtone.server.ui.kept import SHELF_BYTES
from overtone.server.uploads import Spool, UploadLimits
from overtone.system.machine import rss_bytes
from overtone.system.memory import MIB, parse_size
from overtone.system.profiler import NULL_PROFILER
from overtone.wording import param, speaking_to

_REQUESTS_BYTES = 64 * MIB
"""Bytes that requests in flight hold beside their audio: pieces of uploads on their way to disk, answers on their way
out."""


_SHARED = (
    *("hub", "memory", "device", "precision", "backend", "threads", "decoders", "decode", "channels"),
    *("batch_size_s", "batch_size_threshold_s", "ignore_unknown_tensors"),
)
"""Options that the transcriber has from the emotion model: they are of the machine, and both are in one budget."""

_LONGEST_S = 600.0


def recognizer_for(options: Options, settings: Settings) -> EmotionRecognizer:
    """A recognizer with room planned for what the service holds beside it. UsageError for files that run whole."""
    _check(options)
    return EmotionRecognizer.with_options(options, NULL_PROFILER, reserve=_beside(settings))


def transcription_for(options: Options, transcriber: str) -> TranscribeOptions:
    """The transcriber's options: those of the machine as for the emotion model, which it has too; `vad`, `punctuation`,
    `speakers`, `language` and the others from the config file and the environment. UsageError for what cannot be."""
    _check(options)
    if options.offload:
        raise UsageError(
            f"{param('offload')} keeps parts of one model elsewhere; leave it out, or {param('transcriber')}."
        )
    shared = {name: getattr(options, name) for name in _SHARED}
    longest_s = min(_LONGEST_S, max(options.max_segment, options.longest_s))
    return loading.load(
        TranscribeOptions, **shared, model=transcriber, emotion=options.model, segment="vad", max_segment=longest_s
    )


def _check(options: Options) -> None:
    if options.whole:
        raise UsageError(
            "a service cuts what it is sent, so that nobody waits for an hour of another's; leave out "
            f"{param('context', 'full')} and {param('segment', 'none')}."
        )


def _beside(settings: Settings) -> ReservedCapacity:
    cache_bytes = parse_size(settings.cache_size) if settings.cache == "memory" else 0
    held_bytes = cache_bytes + _REQUESTS_BYTES + (SHELF_BYTES if settings.page else 0)
    return ReservedCapacity(settings.jobs_at_once, settings.live_streams, held_bytes, probes=1, short=1)


def model_loader_for(options: Options, transcription: TranscribeOptions | None, settings: Settings) -> ModelSet:
    """All that the service answers with, in one budget."""
    if transcription is None:
        return _named(ModelSet(recognizer_for(options, settings)), settings)
    reserve = _beside(settings)
    # Those who ask for words and those who ask for emotions are cut apart from each other.
    reserve = replace(reserve, live=reserve.live + decoder_count(options, reserve))
    transcriber = Transcriber.with_options(transcription, NULL_PROFILER, reserve=reserve)
    return _named(ModelSet(transcriber.emotion(options), transcriber), settings)


def _named(models: ModelSet, settings: Settings) -> ModelSet:
    """The models, called as the settings say."""
    names: dict[Role, str] = {}
    if settings.served_name is not None:
        names["emotion"] = settings.served_name
    if settings.transcriber_served_name is not None:
        names["recognizer"] = settings.transcriber_served_name
    for pipeline in (models.emotion, models.transcriber):
        if pipeline is not None:
            pipeline.rename(names)
    return models


class Server:
    """Everything that a service is made of. `open` it, and `close` it whatever happened.

    start: makes the models; called in a thread, and once more if one of the first ones dies. Raises UsageError for
    settings that cannot be used.
    """

    def __init__(self, settings: Settings, start: Callable[[], ModelSet]) -> None:
        self.settings = settings
        self.started = time.time()
        self.keyring = None if settings.keys is None else Keyring.load(Path(settings.keys))
        self.metrics = Metrics(self)
        self.died = asyncio.Event()
        """Set when one of the second models has died too: nothing answers any more."""
        self.host = ModelSupervisor(start, self.died.set)
        cache = open_store(
            settings.cache,
            parse_size(settings.cache_size),
            settings.cache_kept_s,
            secret_file=None if settings.cache_secret_file is None else Path(settings.cache_secret_file),
            readable=CachedAnswer.is_kept_form,
        )
        admission = AdmissionLimits(
            settings.queue_audio_s,
            settings.deadline_s,
            settings.queue_audio_s * settings.key_share if self.keyring else None,
            settings.live_streams,
        )
        bounds = RequestLimits(settings.max_audio_s, settings.deadline_s)
        self.service = Service(
            self.host, Admission(admission), ResultCache(cache), bounds, self.metrics, settings.cache_namespace
        )
        self.spool = Spool(_uploads_folder(settings), _upload_limits(settings))
        try:
            self.store = JobStore(settings.jobs_folder)
        except BaseException:
            self.spool.close()
            raise
        self.storage = StorageHealth(settings.jobs_folder, self.spool)
        self.tabling = threading.Lock()
        """Held while a job's record becomes rows of a table: one of many frames is large while it is read back."""
        self.jobs = JobRunner(self.service, self.store, settings)

    async def open(self) -> None:
        """Load the model and go on with the jobs that wait. Raises what loading raises."""
        await self.host.open()
        with speaking_to("http"):  # in the records of jobs
            await self.jobs.open()

    def drain(self) -> None:
        """Let nothing new in; what was admitted goes on, but for jobs, which go on after the next start."""
        self.service.draining.set()
        self.jobs.stop()

    @property
    def idle(self) -> bool:
        """True if no request waits for an answer."""
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
        engines = () if last is None else last.engines
        # Each plans for what is in the process beside its own batch, and they share what they run on.
        planned = max((engine.plan.planned_bytes for engine in engines), default=0)
        runtime = None if last is None else last.emotion.runtime
        written = None if last is None else last.transcriber
        return Snapshot(
            queue_seconds={
                "interactive": self.service.admission.queued_s,
                "jobs": self.jobs.waiting_s,
                "live": self.service.admission.live_load,
            },
            queue_bytes=sum(engine.queued_bytes for engine in engines),
            uploads_bytes=self.spool.held_bytes,
            engine=self.host.stats,
            memory_budget_bytes=0 if runtime is None else runtime.engine.plan.budget_bytes,
            memory_planned_bytes=planned,
            memory_resident_bytes=rss_bytes() if runtime is None else runtime.held_bytes,
            memory_peak_bytes=max((engine.peak_bytes for engine in engines), default=0),
            cache_hits=answers.hits,
            cache_shared=answers.shared,
            cache_misses=answers.misses,
            cache_rejected=answers.rejected_count,
            cache_bytes=answers.held_bytes,
            cache_healthy=answers.healthy,
            jobs=Counter(self.jobs.states),
            live_streams=self.service.admission.live,
            ready=self.host.alive and not self.service.draining.is_set() and self.storage.healthy,
            restarts=self.host.restarts,
            audio_seconds_rate=self.host.recent_rate,
            devices=0 if runtime is None else runtime.engine.device.count(",") + 1,
            model="" if runtime is None else runtime.model.name,
            precision="" if runtime is None else runtime.engine.precision,
            device="" if runtime is None else runtime.engine.device,
            transcriber="" if written is None else written.runtime.model.name,
        )


def _uploads_folder(settings: Settings) -> Path | None:
    """The folder of uploads: by default a folder of this user's, so that the files of a killed service are found
    again."""
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


def load_models(options: Options, settings: Settings) -> Callable[[], ModelSet]:
    """The options that `Server` starts with. UsageError for options that cannot be, before anything is loaded."""
    named = settings.transcriber
    transcription = None if named is None else transcription_for(options, named)
    return partial(model_loader_for, options, transcription, settings)
