"""The recogniser of a service and its life: started, watched, started anew once, or given up loudly."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from overtone import checkpoints
from overtone.conversion import fingerprint
from overtone.emotion import EmotionRecognizer
from overtone.engine import EngineStats
from overtone.errors import OvertoneError, RefusedError
from overtone.values import SAMPLE_RATE

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


_GONE = frozenset({"died", "closed", "cancelled"})
"""Codes of what was met where there was no model to answer: it died over it, or before it, or was being closed."""


def was_gone(error: OvertoneError) -> bool:
    """Whether an error says that there was no model, and nothing of what was asked."""
    return error.code in _GONE


class Host:
    """Owns the recogniser. Methods are called from the event loop, but for `recognizer`, which any thread may ask for.

    start: makes a recogniser; called in a thread. failed: called when it has died for good.
    """

    def __init__(self, start: Callable[[], EmotionRecognizer], failed: Callable[[], None] = lambda: None) -> None:
        self._start, self._failed = start, failed
        self._recognizer: EmotionRecognizer | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="overtone-host")
        self._watching: asyncio.Task[None] | None = None
        self._before = EngineStats()  # of engines that died
        self._rates = _Rate()
        self._proof_at = -_PROOF_S
        self._batches = 0
        self._asking: asyncio.Task[bool] | None = None
        self.state: State = "starting"
        self.restarts = 0
        self.fingerprint = ""

    async def open(self) -> None:
        """Load the model and see it answer. Raises what loading raises."""
        await self._load()
        self._watching = asyncio.create_task(self._watch())

    async def _load(self) -> None:
        recognizer = await self._aside(self._start)
        network = recognizer.runtime.network
        self.fingerprint = await self._aside(
            lambda: fingerprint(
                checkpoints.read(network.folder, name=network.name),
                strict=not recognizer.options.ignore_unknown_tensors,
            )
        )
        self._recognizer = recognizer
        self._rates = _Rate(recognizer.runtime.engine.plan.cost.rtf)
        self.state = "ready"

    async def _aside(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @property
    def recognizer(self) -> EmotionRecognizer:
        """The one that answers now. RefusedError (not_ready) where there is none."""
        if self.state != "ready" or self._recognizer is None:
            soon = self.state in ("starting", "restarting")
            raise RefusedError(
                f"the model is not ready ({self.state})" + ("; ask again in a few seconds." if soon else "."),
                code="not_ready",
                retry_after_s=5.0 if soon else None,
            )
        return self._recognizer

    @property
    def alive(self) -> bool:
        """Whether there is a model whose thread works."""
        return self.state == "ready" and self._recognizer is not None and self._recognizer.runtime.engine.alive

    @property
    def last(self) -> EmotionRecognizer | None:
        """The one that answered last, for those who only look."""
        return self._recognizer

    @property
    def stats(self) -> EngineStats:
        """What all engines did since the service began."""
        if self._recognizer is None:
            return self._before
        now = self._recognizer.runtime.engine.stats
        return _added(self._before, now)

    @property
    def rate(self) -> float:
        """Seconds of audio answered in a second while the model works; expected at first, measured later."""
        return self._rates.busy

    @property
    def recent_rate(self) -> float:
        """Seconds of audio answered per second over the last while, idle time counted."""
        return self._rates.recent

    async def answers(self) -> bool:
        """Whether the model answers: it has just done so, or is asked now."""
        if not self.alive or self._recognizer is None:
            return False
        if time.monotonic() - self._proof_at < _PROOF_S:
            return True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(self._recognizer))
        return await asyncio.shield(self._asking)

    async def _ask(self, recognizer: EmotionRecognizer) -> bool:
        noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2).astype(np.float32) * 0.01
        engine, batches = recognizer.runtime.engine, recognizer.runtime.engine.stats.batches
        try:
            submitted = await asyncio.wait_for(asyncio.to_thread(engine.submit, noise), _ASKED_S)
            await asyncio.wait_for(asyncio.wrap_future(submitted), _ASKED_S)
        except (asyncio.TimeoutError, CancelledError):
            return engine.alive and engine.stats.batches > batches  # busy with others, and answering them
        except Exception as error:  # noqa: BLE001 - whatever a model says to half a second of noise, it is no answer
            _LOG.error("the model does not answer: %s", error)
            return False
        self._proof_at = time.monotonic()
        return True

    async def _watch(self) -> None:
        """See that the engine lives, and how fast it is."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._recognizer is None:
                continue
            stats = self._recognizer.runtime.engine.stats
            self._rates.see(time.monotonic(), stats.audio_s, stats.run_s)
            if stats.batches != self._batches:
                self._batches, self._proof_at = stats.batches, time.monotonic()
            if self.state == "ready" and not self._recognizer.runtime.engine.alive:
                await self._revive(self._recognizer)

    async def _revive(self, dead: EmotionRecognizer) -> None:
        if self.restarts >= MOST_RESTARTS:
            self.state = "failed"
            _LOG.critical("the model died again and is given up; end this service and start it anew")
            self._failed()
            return
        self.state = "restarting"
        self.restarts += 1
        _LOG.error("the model died; it is started anew, once")
        self._before = _added(self._before, dead.runtime.engine.stats)
        self._recognizer, self._batches = None, 0
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
        """Finish what was submitted, and free the model."""
        self.state = "closed"
        if self._watching is not None:
            self._watching.cancel()
        if self._recognizer is not None:
            await self._aside(self._recognizer.close)
        await asyncio.to_thread(self._threads.shutdown)  # a model may be on its way


@dataclass(slots=True)
class _Rate:
    """How fast audio is answered. rtf: what was measured when the model was probed."""

    rtf: float | None = None
    busy: float = 0.0
    recent: float = 0.0
    _at: float = 0.0
    _audio_s: float = 0.0
    _run_s: float = 0.0

    def __post_init__(self) -> None:
        self.busy = 1 / self.rtf if self.rtf else 1.0

    def see(self, now: float, audio_s: float, run_s: float) -> None:
        """So much audio has been answered by now, in so many seconds of running."""
        passed, audio, ran = now - self._at, audio_s - self._audio_s, run_s - self._run_s
        self._at, self._audio_s, self._run_s = now, audio_s, run_s
        if audio < 0 or passed <= 0 or passed > 60 * _LOOK_S:
            return
        self.recent += (audio / passed - self.recent) * min(1.0, passed / _RATE_OVER_S)
        if ran > 0:
            self.busy += (audio / ran - self.busy) * min(1.0, ran / _RATE_OVER_S)


def _added(one: EngineStats, other: EngineStats) -> EngineStats:
    values: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in EngineStats.__slots__}
    return replace(one, **values)
