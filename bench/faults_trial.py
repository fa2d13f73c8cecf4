"""A finding of one trial of `faults.py`: how much was tried, what was lost, and the most memory that it took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """A row of the table. `lost`: what was to be there and was not, each in a few words; nothing is the aim."""

    name: str
    tried: str
    lost: tuple[str, ...] = ()
    peak_bytes: int | None = None
    budget_bytes: int | None = None

    @property
    def over_bytes(self) -> int:
        """Bytes by which the peak of all processes passed the budget; 0 within it, and without one."""
        if self.peak_bytes is None or self.budget_bytes is None:
            return 0
        return max(0, self.peak_bytes - self.budget_bytes)
