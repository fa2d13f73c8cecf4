"""How fast a client sends, and how much longer it is waited for. It has no clock: it is told."""

from __future__ import annotations

import math

from overtone.errors import RefusedError
from overtone.server.uploads.limits import UploadLimits
from overtone.system.memory import format_size


class RateLimit:
    """What came from one client and how long that was waited for.

    Only waiting counts: seconds in which the service writes to a slow disk are no fault of the client.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self.received_bytes = 0
        self.waited_s = 0.0

    def add(self, size_bytes: int, waited_s: float) -> None:
        """Count a piece that came after so long."""
        self.received_bytes += size_bytes
        self.waited_s += waited_s

    @property
    def timeout_s(self) -> float:
        """How long the next piece may take; not above 0 where the client has been too slow already."""
        return min(self._limits.idle_s, self._due_s)

    @property
    def _due_s(self) -> float:
        """When the average will have fallen to the least rate, if nothing comes until then."""
        if not self._limits.least_rate:
            return math.inf
        return max(self._limits.grace_s, self.received_bytes / self._limits.least_rate) - self.waited_s

    def refusal(self) -> RefusedError:
        """What to say to a client whose next piece did not come in time."""
        if self._limits.idle_s <= self._due_s:
            reason = f"nothing came for {self._limits.idle_s:g} s"
        else:
            reason = (
                f"{format_size(self.received_bytes)} came where at least {format_size(self._limits.least_rate)} per "
                "second are waited for"
            )
        return RefusedError(f"the upload is too slow: {reason}; send it again.", code="upload_timeout")
