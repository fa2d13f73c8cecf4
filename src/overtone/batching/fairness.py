"""Policy, pure: whose turn it is where some work is waited for and some is not. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUND_SHARE = 0.1
"""Share of the audio run that goes to background work while other work waits as well."""

PREEMPT_AFTER_S = 5.0
"""Seconds of audio. A batch of background work that was begun while nobody waited, and has more than this left to run
when somebody comes, gives way: it is begun again later. One with less is nearly done, and its work would be lost."""

_MOST_EARNED_S = 60.0
"""Seconds of audio. What background work was owed an hour ago is no reason to make everybody wait now."""


@dataclass(slots=True)
class BackgroundShare:
    """Whose turn it is where background work waits beside other work. Seconds of audio; knows no clock.

    Background work runs when nothing else waits. For what it is passed over it earns a share, and once that pays
    for its oldest segment it goes first: it is never starved, and takes no more than the share. `needed_s`: what that
    segment takes.
    """

    earned_s: float = 0.0
    needed_s: float = 0.0

    def background_is_due(self, foreground: int, background_s: float | None) -> bool:
        """Whether the next batch is of background work. foreground: other segments that wait; background_s: the oldest
        background segment, None for none."""
        self.needed_s = background_s or 0.0
        if background_s is None:
            return False
        return not foreground or self.earned_s >= background_s

    def account(self, seconds: float, *, background: bool, others: bool) -> None:
        """A batch of so many seconds was taken; `others`: work of the other kind was passed over for it."""
        if not others:
            return
        earned = -seconds if background else seconds * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE)
        self.earned_s = min(max(_MOST_EARNED_S, self.needed_s), max(0.0, self.earned_s + earned))
