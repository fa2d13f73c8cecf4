"""One request: its context, its options, and the submission of its segments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, Generic, TypeVar
from weakref import WeakMethod

from overtone.batching.flow import Flow
from overtone.engine.engine import Engine
from overtone.models.family import Role
from overtone.options.emotion import Options
from overtone.types import ModelOutput, Samples, Segment

OptionsT = TypeVar("OptionsT", bound=Options)


class RequestContext:
    """Cancellation, progress and answer cache of one request. Thread-safe.

    Requests take turns: those of different tenants first, then those of one tenant, by seconds of audio.

    This class only cancels. Override `on_progress` to follow the decoding, `on_output` to follow the models,
    `cache_get` and `cache_put` to keep answers, and `background` to give way to all other work.

    Parameters
    ----------
    tenant
        The name of whom the request is for, such as the owner of a key. However many requests a tenant has, it gets no
        more than another who has some as well. Requests without one are the same tenant's.

    Examples
    --------
    >>> from overtone import RequestContext
    >>> class Progress(RequestContext):
    ...     def on_progress(self, seconds):
    ...         print(f"{seconds:.0f} s decoded")
    >>> ctx = Progress()
    >>> ctx.on_cancel(lambda: print("abandoned"))
    >>> ctx.on_progress(2.0)
    2 s decoded
    >>> ctx.cancel()
    abandoned
    >>> ctx.cancelled
    True
    """

    background = False
    """True for work that runs only while nothing else waits."""

    expected_s: float | None = None
    """Seconds of audio that its source is known or said to have; None where that is not known."""

    def __init__(self, tenant: str | None = None) -> None:
        self.flow = Flow(tenant)
        """The turn that its segments share; requests that are given the same one are one request there."""
        self._cancelled = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], Callable[[], None] | None]] = []

    @property
    def cancelled(self) -> bool:
        """True once the request was abandoned."""
        return self._cancelled

    def cancel(self) -> None:
        """Abandon the request: segments that have not been run are dropped."""
        with self._lock:
            self._cancelled = True
            todo, self._callbacks = self._callbacks, []
        for callback in todo:
            if (function := callback()) is not None:
                function()

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Call a function when the request is cancelled; at once if it is already.

        An object's method does not keep the object: what works for a request knows it, and the two would hold each
        other, with all their audio, until Python's collector comes by.

        Parameters
        ----------
        function
            Called once, from the thread that cancels; a method also where it was given several times.
        """
        with self._lock:
            if not self._cancelled:
                new = WeakMethod(function) if isinstance(function, MethodType) else lambda: function
                # A context may be given to any number of calls: methods of what has gone, and the same again, add up.
                kept = [
                    one for one in self._callbacks if not isinstance(one, WeakMethod) or one() not in (None, function)
                ]
                self._callbacks = [*kept, new]
                return
        function()

    def on_progress(self, seconds: float) -> None:
        """Progress hook, called by the thread that decodes. Does nothing unless overridden.

        Parameters
        ----------
        seconds
            Audio decoded so far.

        Raises
        ------
        OvertoneError
            From an override, to abandon the source.
        """

    def on_output(self, segment: Segment, output: ModelOutput | None) -> None:
        """Output hook, called as segments are answered, in any order. Does nothing unless overridden.

        The model's thread calls it, for which it must be quick; what it raises fails the source.

        Parameters
        ----------
        segment
            The segment, without its samples; its `index` counts the segments of a channel, silent ones included.
        output
            The output of one of the models that it was submitted to; None for a segment without speech.
        """

    def cache_get(self, cache_key: str, samples: Samples) -> ModelOutput | None:
        """The cached answer of a segment, or None. Always None unless overridden.

        Parameters
        ----------
        cache_key
            The model's role and its decode parameters.
        samples
            The segment, float32 (samples,), at 16 kHz.
        """
        return None

    def cache_put(self, cache_key: str, samples: Samples, answer: ModelOutput) -> None:
        """Cache the answer of a segment. Does nothing unless overridden.

        Answers with frames come too: 3 KB for each 20 ms, which an override may not want to keep.

        Parameters
        ----------
        cache_key, samples
            As for `cache_get`.
        answer
            The output of the model.
        """


@dataclass(frozen=True, slots=True)
class CallOptions(Generic[OptionsT]):
    """Options of one call, those of the pipeline included. envelope: keep the waveform's peaks."""

    options: OptionsT
    envelope: bool = False

    @property
    def frames(self) -> bool:
        """True if the embedding of every frame is kept."""
        return self.options.granularity == "frame"

    @property
    def split(self) -> bool:
        """True if each channel has its own result."""
        return self.options.channels == "split"


def submit_to_model(
    engine: Engine, ctx: RequestContext, samples: Samples, role: Role, decode_params: Hashable = None
) -> Future[Any]:
    """Submit one segment to one model, unless the request's cache has its answer; may wait for room in the queue.

    role: of the model.
    """
    cache_key = f"{role} {decode_params!r}"
    if (known := ctx.cache_get(cache_key, samples)) is not None:
        answer: Future[Any] = Future()
        answer.set_result(known)
        return answer
    answer = engine.submit(samples, decode_params=decode_params, background=ctx.background, flow=ctx.flow)
    if type(ctx).cache_put is not RequestContext.cache_put:
        answer.add_done_callback(partial(_keep, ctx, cache_key, samples))
    return answer


def _keep(ctx: RequestContext, cache_key: str, samples: Samples, answer: Future[Any]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        ctx.cache_put(cache_key, samples, answer.result())
