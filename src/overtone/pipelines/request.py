"""What one call asks of a pipeline, and who waits for its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any
from weakref import WeakMethod

from overtone.engine.engine import Engine
from overtone.models.registry import Role
from overtone.options.emotion import Options
from overtone.types import FRAMES, ModelOutput, Samples


class RequestContext:
    """Who waits for an answer, and may stop waiting. One for each call; its methods are called from any thread.

    What is here is a caller that only waits. Others hear how far their audio is, know what the model said of a segment
    before, or let everybody else go first (`background`).
    """

    background = False

    def __init__(self) -> None:
        self._stopped = False
        self._lock = threading.Lock()
        self._when_stopped: list[Callable[[], Callable[[], None] | None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._stopped

    def cancel(self) -> None:
        """Nobody waits any more: what has not been run will not be."""
        with self._lock:
            self._stopped = True
            todo, self._when_stopped = self._when_stopped, []
        for recalled in todo:
            if (work := recalled()) is not None:
                work()

    def on_cancel(self, work: Callable[[], None]) -> None:
        """Have `work` done once nobody waits any more; at once if that is so already.

        An object's method does not keep the object: what works for a caller knows it, and the two would hold each
        other, with all their audio, until Python's collector comes by.
        """
        with self._lock:
            if not self._stopped:
                self._when_stopped.append(WeakMethod(work) if isinstance(work, MethodType) else lambda: work)
                return
        work()

    def on_progress(self, seconds: float) -> None:
        """So many seconds of the source have been decoded. An OvertoneError raised here ends it."""

    def cache_get(self, cache_key: str, samples: Samples) -> ModelOutput | None:
        """What was said of these samples when that was asked, if it is known from before."""
        return None

    def cache_put(self, cache_key: str, samples: Samples, answer: ModelOutput) -> None:
        """What is said of these samples."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call wants. `options`: those of the pipeline with the call's own. `envelope`: keep the outline."""

    options: Options
    envelope: bool = False

    @property
    def frames(self) -> bool:
        """Whether frames are kept."""
        return self.options.granularity == "frame"

    @property
    def split(self) -> bool:
        """Whether each channel is answered by itself."""
        return self.options.channels == "split"


def submit_to_model(
    engine: Engine, ctx: RequestContext, samples: Samples, role: Role, decode_params: Hashable = None
) -> Future[Any]:
    """Submit one segment to one model, unless the request's cache has its answer; may wait for room in the queue.

    role: what the model is for. Frames are never cached: they are too many to be kept by anybody.
    """
    cache_key = f"{role} {decode_params!r}"
    if decode_params != FRAMES and (known := ctx.cache_get(cache_key, samples)) is not None:
        answer: Future[Any] = Future()
        answer.set_result(known)
        return answer
    answer = engine.submit(samples, decode_params=decode_params, background=ctx.background)
    if decode_params != FRAMES and type(ctx).cache_put is not RequestContext.cache_put:
        answer.add_done_callback(partial(_keep, ctx, cache_key, samples))
    return answer


def _keep(ctx: RequestContext, cache_key: str, samples: Samples, answer: Future[Any]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        ctx.cache_put(cache_key, samples, answer.result())
