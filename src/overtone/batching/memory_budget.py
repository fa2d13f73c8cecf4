"""Memory budget: a limit in bytes, and the room a batch has in it now."""

from __future__ import annotations

from collections.abc import Callable

from overtone.batching.fair_semaphore import FairSemaphore


class MemoryBudget:
    """A budget and the part of it that is left. Thread-safe.

    Audio on its way to the model is held to the capacity of `audio`. The rest of the budget, after the bytes in use and
    the audio that may still come, is available to the activations of one batch.

    - `measure`: gives the bytes that are in use now, all together.
    - `audio`: a semaphore that several budgets share; `audio_bytes` of it are this one's.
    """

    def __init__(
        self, budget_bytes: int, audio_bytes: int, measure: Callable[[], int], audio: FairSemaphore | None = None
    ) -> None:
        self.budget_bytes = budget_bytes
        self.audio = FairSemaphore(audio_bytes) if audio is None else audio
        """Bytes of audio that wait or run."""
        self._audio_bytes = audio_bytes
        self._measure = measure

    def available(self) -> int:
        """Bytes that the activations of a batch may take now."""
        to_come = max(0, self._audio_bytes - self.audio.in_use)
        return self.budget_bytes - self._measure() - to_come
