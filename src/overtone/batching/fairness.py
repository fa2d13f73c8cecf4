"""Policy, pure: the share of background work beside work that a caller waits for. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUND_SHARE = 0.1
"""Share of the audio run that goes to background work while other work waits as well."""

PREEMPT_AFTER_S = 5.0
"""Seconds of audio. A batch of background work that was begun while no other work waited, and has more than this
left to run when some comes, gives way: it is begun again later. One with less is nearly done, and its work would be
lost."""

_MAX_EARNED_S = 60.0
"""Seconds of audio. Credit that background work earned an hour ago is no reason to make all other work wait now."""


@dataclass(slots=True)
class BackgroundShare:
    """Account, in seconds of audio, of background work that waits beside other work. Knows no clock.

    Background work runs when nothing else waits. For the batches it is passed over it earns a share, and once that pays
    for its oldest segment it goes first: it is never starved, and takes no more than the share. `needed_s`: the cost of
    that segment.
    """

    earned_s: float = 0.0
    needed_s: float = 0.0

    def background_is_due(self, foreground: int, background_s: float | None) -> bool:
        """True if the next batch is of background work.

        - `foreground`: other segments that wait.
        - `background_s`: the oldest background segment, None for none.
        """
        self.needed_s = background_s or 0.0
        if background_s is None:
            return False
        return not foreground or self.earned_s >= background_s

    def account(self, seconds: float, *, background: bool, others: bool) -> None:
        """Charge a batch of so many seconds; `others`: work of the other kind was passed over for it."""
        if not others:
            return
        earned = -seconds if background else seconds * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE)
        self.earned_s = min(max(_MAX_EARNED_S, self.needed_s), max(0.0, self.earned_s + earned))
