"""Who is let in: policy over seconds of audio, not over numbers of requests. Pure: no clock, no I/O.

Everything under way is counted by the seconds of audio it is known or claimed to have, until more is known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from overtone.errors import RefusedError

_MARGIN = 0.9
"""Of the time until a deadline: rates are estimates, and an answer that comes just too late was for nothing."""

_LONGEST_WAIT_S = 3600.0
"""Nobody is told to come back later than that."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """queue_s: most seconds of audio under way. owner_s: of one owner, where there are several; None for no such bound
    (with one, an owner has half of the live streams at most).
    deadline_s: seconds of the clock within which an answer is wanted. live: most live streams."""

    queue_s: float
    deadline_s: float
    owner_s: float | None = None
    live: int = 8


class Admission:
    """Counts what is under way, and lets in or refuses. Used by one thread, the event loop's.

        ticket = admission.admit(owner, seconds, rate); ...; ticket.leave()

    `rate`: seconds of audio answered in a second, as far as is known now.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self._held: Counter[str | None] = Counter()  # of owners, in milliseconds: integers add up to nothing again
        self._live_ms = 0
        self._live_of: Counter[str | None] = Counter()
        self.live = 0

    @property
    def queued_s(self) -> float:
        """Seconds of audio under way, but for live streams."""
        return self._held.total() / 1000

    def queued_of(self, owner: str | None) -> float:
        """Seconds of audio of one owner under way."""
        return self._held[owner] / 1000

    def room_s(self, rate: float) -> float:
        """Seconds of audio that may be under way: what the queue holds, and no more than is answered in time."""
        return min(self.limits.queue_s, max(0.0, rate - self.live_load) * self.limits.deadline_s * _MARGIN)

    def wait_s(self, rate: float) -> float:
        """Seconds until what is under way is answered."""
        return self.queued_s / max(rate - self.live_load, 1e-9) if self.queued_s else 0.0

    def check(self, owner: str | None, rate: float, seconds: float = 0.0, own_s: float | None = None) -> None:
        """RefusedError (busy) where so much more cannot be let in now. `own_s`: a bound of this owner's own.

        One that alone is more than the room is let in when nothing else is under way.
        """
        room = self.room_s(rate)
        self._refuse_over(self.queued_s, seconds, room, rate, "")
        bound = own_s if own_s is not None else self.limits.owner_s
        if bound is not None:
            self._refuse_over(self.queued_of(owner), seconds, min(bound, room), rate, " of this key")

    def _refuse_over(self, held: float, seconds: float, room: float, rate: float, whose: str) -> None:
        if not held or (held + seconds <= room and held < room):
            return
        after = min(_LONGEST_WAIT_S, max(0.0, held + seconds - room) / max(rate - self.live_load, 1e-9))
        raise RefusedError(
            f"{held:.0f} s of audio{whose} are under way, and {room:.0f} s are the most; ask again in "
            f"{max(1.0, after):.0f} s.",
            code="busy",
            retry_after_s=after,
        )

    def admit(self, owner: str | None, seconds: float, rate: float, own_s: float | None = None) -> Ticket:
        """Let in so many seconds of audio. RefusedError (busy) where that is too much now. own_s: as `check`."""
        self.check(owner, rate, seconds, own_s)
        ticket = Ticket(self, owner)
        ticket.update(seconds)
        return ticket

    @property
    def live_load(self) -> float:
        """Seconds of audio that live streams have answered in a second."""
        return self._live_ms / 1000

    def open_live(self, load: float, rate: float, owner: str | None = None) -> StreamSlot:
        """Let in a live stream that has `load` seconds of audio answered in each second. RefusedError (busy)."""
        own = self._live_of[owner]
        if self.live >= self.limits.live or (self.limits.owner_s is not None and own >= max(1, self.limits.live // 2)):
            raise RefusedError(
                f"{self.live} live streams are open, {own} of them yours, the most there may be; ask again later.",
                code="busy",
                retry_after_s=10.0,
            )
        if self.live_load + load > rate * _MARGIN:
            raise RefusedError(
                f"the model answers {rate:.0f} s of audio in a second, and the {self.live} live streams need "
                f"{self.live_load:.0f}; take a longer hop, or ask again later.",
                code="busy",
                retry_after_s=10.0,
            )
        return StreamSlot(self, load, owner)


class Ticket:
    """Somebody's audio under way. `leave` it when it is answered or given up; leaving twice does nothing."""

    def __init__(self, admission: Admission, owner: str | None) -> None:
        self._admission, self._owner = admission, owner
        self._held_ms = 0
        self._left = False

    def update(self, seconds: float) -> None:
        """It has so many seconds, as is known now."""
        if not self._left:
            held = round(seconds * 1000)
            self._admission._held[self._owner] += held - self._held_ms
            self._held_ms = held

    def release(self) -> None:
        """It is not under way any more."""
        self.update(0.0)
        self._left = True
        if not self._admission._held[self._owner]:
            del self._admission._held[self._owner]


class StreamSlot:
    """A live stream's place."""

    def __init__(self, admission: Admission, load: float, owner: str | None) -> None:
        self._admission, self._load_ms, self._owner = admission, round(load * 1000), owner
        self._left = False
        admission._live_of[owner] += 1
        admission.live += 1
        admission._live_ms += self._load_ms

    def release(self) -> None:
        """It has ended; saying so twice does nothing."""
        if not self._left:
            self._left = True
            self._admission.live -= 1
            self._admission._live_of[self._owner] -= 1
            self._admission._live_ms -= self._load_ms
