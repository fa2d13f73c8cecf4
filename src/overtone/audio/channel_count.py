"""`ChannelCount`: one number of channels for a track that changes it on the way."""

from __future__ import annotations

import numpy as np

from overtone.audio.source import checked_channels
from overtone.types import Samples

_MAX_CHANGES_SHOWN = 4
"""Changes that the warning names."""


class ChannelCount:
    """Frames brought to as many channels as the first one has.

    Where a frame has another number of channels, each is the mean of all that it has: the mix is the same as if
    nothing had changed, and one channel stands for two.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.channels: int | None = None
        """Channels of the first frame, None before there is one."""
        self._last = 0
        self._changes: list[str] = []
        self._change_count = 0

    def unified(self, samples: Samples, at_s: float) -> Samples:
        """A frame, float32 (n channels, samples), that begins at `at_s` seconds, as (channels, samples)."""
        count = checked_channels(len(samples), self._name)
        self.channels = self.channels or count
        if count != (self._last or count):
            self._change_count += 1
            if len(self._changes) < _MAX_CHANGES_SHOWN:
                self._changes.append(f"from {self._last} to {count} at {at_s:.3f} s")
        self._last = count
        if count == self.channels:
            return samples
        # In float64: the sum of a few large samples may not fit float32 where their mean does.
        mean = samples[0] if count == 1 else samples.mean(axis=0, dtype=np.float64).astype(np.float32)
        return np.tile(mean, (self.channels, 1))

    def warnings(self) -> list[str]:
        """A warning about changes, if there were any."""
        if not self._change_count:
            return []
        changes = ", ".join(self._changes)
        if (more := self._change_count - len(self._changes)) > 0:
            changes += f" and {more} more times"
        return [
            f"the channel count changes {changes}: where it is not {self.channels}, each channel is the mean of all "
            "that are there"
        ]
