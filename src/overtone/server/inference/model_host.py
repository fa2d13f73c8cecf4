"""The models of a service and their life: started, watched, started anew once, or given up loudly."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from overtone.engine.engine import Engine
from overtone.engine.stats import EngineStats
from overtone.errors import Code, OvertoneError, RefusedError
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.pipelines.transcription import Transcriber
from overtone.server.inference.models import AnyPipeline, ModelSet, Task
from overtone.types import SAMPLE_RATE

_LOG = logging.getLogger("overtone.server")

_T = TypeVar("_T")

State = Literal["starting", "ready", "restarting", "failed", "closed"]

MOST_RESTARTS = 1
"""A model that dies twice will die again; whoever runs the service is to know."""

_LOOK_S = 0.25
"""Seconds between two looks at the engine. A look reads a flag."""

_RATE_OVER_S = 20.0
"""Seconds of running over which the rate is averaged: some of its batches, and not what it did yesterday."""

_PROOF_S = 10.0
"""Seconds for which a batch is proof that the model answers; after them it is asked."""

_ASKED_S = 5.0
"""Seconds that it has to answer half a second of noise. A batch that runs meanwhile is proof as well."""


_GONE = frozenset({Code.DIED, Code.CLOSED, Code.CANCELLED})
"""Codes of what was met where there was no model to answer: it died over it, or before it, or was being closed."""


def was_unavailable(error: OvertoneError) -> bool:
    """True if an error means that the model was gone, and nothing about the request."""
    return error.code in _GONE


class ModelSupervisor:
    """Owns the models. Methods are called from the event loop, but for `recognizer`, `transcriber` and `answering`,
    which any thread may ask for.

    start: makes the models; called in a thread. failed: called when one of them has died for good.
    """

    def __init__(self, start: Callable[[], ModelSet], failed: Callable[[], None] = lambda: None) -> None:
        self._start, self._failed = start, failed
        self._models: ModelSet | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="overtone-host")
        self._watching: asyncio.Task[None] | None = None
        self._before = EngineStats()  # of engines that died
        self._rates = _Throughput()
        self._proofs: list[_HealthProbe] = []
        self._asking: asyncio.Task[bool] | None = None
        self.state: State = "starting"
        self.restarts = 0
        self.fingerprints: Mapping[Task, str] = {}

    async def open(self) -> None:
        """Load the models and see them answer. Raises what loading raises."""
        await self._load()
        self._watching = asyncio.create_task(self._watch())

    async def _load(self) -> None:
        models = await self._aside(self._start)
        self.fingerprints = await self._aside(models.fingerprints)
        self._models = models
        self._proofs = [_HealthProbe(engine) for engine in models.engines]
        costs = [engine.plan.cost.rtf for engine in models.engines]
        # What is written down goes through all of them; measured, it is what those who ask really need.
        self._rates = _Throughput(sum(cost for cost in costs if cost) or None)
        self.state = "ready"

    async def _aside(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @property
    def _now(self) -> ModelSet:
        """Those that answer now. RefusedError (not_ready) where there are none."""
        if self.state != "ready" or self._models is None:
            soon = self.state in ("starting", "restarting")
            raise RefusedError(
                f"the model is not ready ({self.state})" + ("; ask again in a few seconds." if soon else "."),
                code=Code.NOT_READY,
                retry_after_s=5.0 if soon else None,
            )
        return self._models

    @property
    def recognizer(self) -> EmotionRecognizer:
        """That of emotions, which answers now. RefusedError (not_ready) where there is none."""
        return self._now.emotion

    @property
    def transcriber(self) -> Transcriber:
        """The transcriber. RefusedError: not_ready; unknown, where there is none."""
        found = self._now.transcriber
        if found is None:
            raise RefusedError(
                "this service writes nothing down; whoever runs it can start it with `overtone serve --transcriber "
                "sensevoice`, or another recognizer.",
                code=Code.UNKNOWN,
            )
        return found

    def answering(self, task: Task) -> AnyPipeline:
        """The pipeline of a task. RefusedError as `recognizer` and `transcriber`."""
        return self.transcriber if task == "transcribe" else self.recognizer

    @property
    def alive(self) -> bool:
        """True if there are models whose threads work."""
        return self.state == "ready" and self._models is not None and _alive(self._models)

    @property
    def last(self) -> ModelSet | None:
        """Those that answered last, for those who only look."""
        return self._models

    @property
    def stats(self) -> EngineStats:
        """Counts of all engines since the service began."""
        return self._before if self._models is None else self._before + _together(self._models)

    @property
    def rate(self) -> float:
        """Seconds of audio answered in a second while the models work; expected at first, measured later."""
        return self._rates.busy

    @property
    def recent_rate(self) -> float:
        """Seconds of audio answered per second over the last while, idle time counted."""
        return self._rates.recent

    async def answers(self) -> bool:
        """True if the models answer: they have just done so, or are asked now."""
        if not self.alive:
            return False
        if all(proof.fresh for proof in self._proofs):
            return True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        """Ask those that have not answered anybody for a while."""
        return all(await asyncio.gather(*(proof.ask() for proof in self._proofs if not proof.fresh)))

    async def _watch(self) -> None:
        """See that the engines live, and how fast they are."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._models is None:
                continue
            # The emotion model hears all audio, also what is written down: its seconds are those that were asked for.
            first, *_ = self._models.engines
            self._rates.update(time.monotonic(), first.stats.audio_s, _together(self._models).run_s)
            for proof in self._proofs:
                proof.look()
            if self.state == "ready" and not _alive(self._models):
                await self._revive(self._models)

    async def _revive(self, dead: ModelSet) -> None:
        if self.restarts >= MOST_RESTARTS:
            self.state = "failed"
            _LOG.critical("the model died again and is given up; end this service and start it anew")
            self._failed()
            return
        self.state = "restarting"
        self.restarts += 1
        _LOG.error("the model died; it is started anew, once")
        self._before = self._before + _together(dead)
        self._models, self._proofs = None, []
        try:
            await self._aside(lambda: dead.close(drain=False))
            await self._load()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing answers any more
            self.state = "failed"
            _LOG.critical("the model could not be started anew (%s); end this service and start it anew", error)
            self._failed()
            return
        _LOG.warning("the model answers again")

    async def close(self) -> None:
        """Finish what was submitted, and free the models."""
        self.state = "closed"
        if self._watching is not None:
            self._watching.cancel()
        if self._models is not None:
            await self._aside(self._models.close)
        await asyncio.to_thread(self._threads.shutdown)  # a model may be on its way


class _HealthProbe:
    """That one engine answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batches = 0
        self._at = -_PROOF_S

    @property
    def fresh(self) -> bool:
        """True if it has answered just now."""
        return time.monotonic() - self._at < _PROOF_S

    def look(self) -> None:
        """See whether it has run a batch since."""
        if (batches := self._engine.stats.batches) != self._batches:
            self._batches, self._at = batches, time.monotonic()

    async def ask(self) -> bool:
        """True if it answers half a second of noise."""
        noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2).astype(np.float32) * 0.01
        engine, batches = self._engine, self._engine.stats.batches
        try:
            submitted = await asyncio.wait_for(asyncio.to_thread(engine.submit, noise), _ASKED_S)
            await asyncio.wait_for(asyncio.wrap_future(submitted), _ASKED_S)
        except (asyncio.TimeoutError, CancelledError):
            return engine.alive and engine.stats.batches > batches  # busy with others, and answering them
        except Exception as error:  # noqa: BLE001 - whatever a model says to half a second of noise, it is no answer
            _LOG.error("the model does not answer: %s", error)
            return False
        self._at = time.monotonic()
        return True


@dataclass(slots=True)
class _Throughput:
    """Rate at which audio is answered. rtf: as measured when the model was probed."""

    rtf: float | None = None
    busy: float = 0.0
    recent: float = 0.0
    _at: float = 0.0
    _audio_s: float = 0.0
    _run_s: float = 0.0

    def __post_init__(self) -> None:
        self.busy = 1 / self.rtf if self.rtf else 1.0

    def update(self, now: float, audio_s: float, run_s: float) -> None:
        """So much audio has been answered by now, in so many seconds of running."""
        passed, audio, ran = now - self._at, audio_s - self._audio_s, run_s - self._run_s
        self._at, self._audio_s, self._run_s = now, audio_s, run_s
        if audio < 0 or passed <= 0 or passed > 60 * _LOOK_S:
            return
        self.recent += (audio / passed - self.recent) * min(1.0, passed / _RATE_OVER_S)
        if ran > 0:
            self.busy += (audio / ran - self.busy) * min(1.0, ran / _RATE_OVER_S)


def _alive(models: ModelSet) -> bool:
    return all(engine.alive for engine in models.engines)


def _together(models: ModelSet) -> EngineStats:
    """Counts of their engines."""
    return sum((engine.stats for engine in models.engines), EngineStats())
