"""Clock by which finished jobs expire. It knows time that has passed, and no date, so no date that is wrong moves it.

A wall clock can be years behind and then be corrected, or jump ahead by days. Were a job's end compared with it, such a
step would delete in a moment what should have been kept for a day. So the clock here is a sum of seconds:

- While the service runs, those of the machine's monotonic clock, which cannot be set.
- Between two runs, those of the same clock, which goes on counting while the machine is up, suspended or not
  (CLOCK_BOOTTIME). It is the same clock if the boot's id is the same.
- Across a boot, none. All that could tell how long the machine was off is the wall clock, which may have been wrong
  before, or be wrong after: any credit given to it could be what deletes a job too early.

So a job never expires early, and late by no more than the time for which the machine was off, and what a loss of power
takes back: the seconds since they were last written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overtone.server.jobs.database import Database

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_STEP_S = 2.0
"""Seconds by which the wall clock has to differ before dates are computed anew: less is two clocks drifting."""


def boot_seconds() -> float:
    """Seconds since the machine was started, time asleep counted where the system counts it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def boot_id() -> str:
    """Text that is another after each start of the machine; "" where the system has none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Clocks of the machine. `wall_s`: unix seconds. `boot_s`: as `boot_seconds`. `boot`: as `boot_id`."""

    wall_s: Callable[[], float] = time.time
    boot_s: Callable[[], float] = boot_seconds
    boot: Callable[[], str] = boot_id


def passed_s(boot: str, boot_s: float, last_boot: str, last_boot_s: float) -> float:
    """Seconds that have certainly passed since a time that was written down, from the boot and its seconds then and
    now; 0 where the machine was started anew between them, or where it cannot be known."""
    return max(0.0, boot_s - last_boot_s) if boot and boot == last_boot else 0.0


class ServiceClock:
    """Seconds for which the service, or at least its machine, has been up, kept in the database. Thread-safe."""

    def __init__(self, db: Database, clocks: Clocks | None = None) -> None:
        self._db, self._clocks = db, clocks or Clocks()
        self._boot, self._began_s = self._clocks.boot(), self._clocks.boot_s()
        rows = db.query("SELECT service_s, boot, boot_s FROM clock")
        self._base_s = 0.0
        for service_s, boot, boot_s in rows:
            self._base_s = service_s + passed_s(self._boot, self._began_s, boot, boot_s)
        self._wall_offset_s = self._clocks.wall_s() - self.now_s()
        self.save()

    def now_s(self) -> float:
        """The seconds so far."""
        return self._base_s + max(0.0, self._clocks.boot_s() - self._began_s)

    def wall_now_s(self) -> float:
        """Unix seconds, by the machine's date."""
        return self._clocks.wall_s()

    def wall_s(self, service_s: float) -> float:
        """A time of this clock as unix seconds, by the date that the machine has now."""
        offset_s = self._clocks.wall_s() - self.now_s()
        if abs(offset_s - self._wall_offset_s) > _STEP_S:
            self._wall_offset_s = offset_s
        return service_s + self._wall_offset_s

    def save(self) -> None:
        """Write the seconds down, so that the next run goes on from there. Raises what `Database` raises."""
        row = (self.now_s(), self._boot, self._clocks.boot_s())
        with self._db.execute() as db:
            db.execute("DELETE FROM clock")
            db.execute("INSERT INTO clock VALUES (?, ?, ?)", row)
