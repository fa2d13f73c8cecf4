"""Waiting for a condition, and never for time to pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

MOST_S = 60.0
"""Seconds for anything to come true, on a busy machine."""


def until(true: Callable[[], Any], what: str = "", within_s: float = MOST_S, pause_s: float = 0.02) -> Any:
    """What `true` gives as soon as that is something."""
    end = time.monotonic() + within_s
    while True:
        if found := true():
            return found
        assert time.monotonic() < end, f"it was never so within {within_s:g} s: {what}"
        time.sleep(pause_s)


def waiting_in(condition: threading.Condition) -> int:
    """How many threads wait in it now, which the standard library keeps to itself."""
    return len(condition._waiters)  # type: ignore[attr-defined]
