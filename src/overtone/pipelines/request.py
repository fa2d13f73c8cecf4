"""What one call asks of a pipeline, and who waits for its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from weakref import WeakMethod

from overtone.options.emotion import Options
from overtone.types import ModelOutput, Samples


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
