"""Limits of uploads in bytes, number and time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from overtone.errors import UsageError
from overtone.system.memory import format_size


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of uploads. UsageError where one of them could let nothing in.

    - `most_bytes`: of all files of one request.
    - `most_files`: of one request.
    - `idle_s`: how long nothing may come.
    - `least_rate`: bytes per second, averaged since the start and asked for once `grace_s` have been waited; 0 asks for
      none.
    - `total_bytes`: of all uploads on disk together, shared by all requests.
    """

    most_bytes: int
    most_files: int
    idle_s: float
    least_rate: float
    total_bytes: int
    grace_s: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 0 if field.name in ("least_rate", "grace_s") else 1e-9
            if not value >= least or not math.isfinite(value):
                raise UsageError(f"uploads: {field.name} is {value}; it has to be a number above 0.")
        if self.total_bytes < self.most_bytes:
            raise UsageError(
                f"uploads: all together may take {format_size(self.total_bytes)} on disk, which is less than the "
                f"{format_size(self.most_bytes)} that one request may bring; raise the one or lower the other."
            )
