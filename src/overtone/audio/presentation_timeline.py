"""`PresentationTimeline`: where each decoded frame lies in time, by its timestamp and its length; pure policy."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HOLE_S = 3_600.0
"""Longest hole that is filled with silence. A longer one is far more often a damaged timestamp than a pause."""

MAX_SILENCE_S = 86_400.0
"""Most silence that all holes of a file are filled with, in seconds: a day."""

MAX_OVERLAP_S = 10.0
"""Longest step back in which audio is left out, as its time has passed. A longer one is a clock that was set anew.
FFmpeg has the same bound between the two (`dts_delta_threshold`)."""

JITTER_S = 0.04
"""Largest step back, and largest difference between two timestamps that agree: GStreamer's `alignment-threshold`.
Clocks of recorders waver; Matroska, FLV and ASF round to 1 ms."""

_LEAST_HOLE_S = 0.005
"""Shortest hole: several times what rounding to 1 ms makes of the shortest packets."""

_MAX_DELAY_S = 0.1
"""Most that a first frame may be later than its track: decoders keep the first packets of AAC and WMA to themselves,
two of 46 ms at the most."""

_MAX_UNCONFIRMED_S = 10.0
"""Longest hole that one timestamp is believed without a second one that agrees."""

_MAX_HELD_S = 0.25
"""Seconds of frames without a timestamp after which a second opinion is not waited for."""


_MAX_LEAPS_SHOWN = 3
"""Leaps that have a warning each; more are only counted."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Placement of one frame: `silence` samples are filled in before it, and its first `skip` samples left out."""

    silence: int = 0
    skip: int = 0


@dataclass(slots=True)
class _Sum:
    """Number of places, seconds in all, and the place of the first."""

    count: int = 0
    seconds: float = 0.0
    first_s: float = 0.0

    def add(self, at_s: float, seconds: float, *, new: bool = True) -> None:
        self.first_s = self.first_s if self.count else at_s
        self.count += new
        self.seconds += seconds

    def text(self, about: str) -> str:
        if self.count == 1:
            return f"{_shown(self.seconds)} s {about} at {_shown(self.first_s)} s"
        return f"{_shown(self.seconds)} s {about} in {self.count} places, the first at {_shown(self.first_s)} s,"


@dataclass(slots=True)
class _Held:
    """Frames that wait. jump_s: from where the first was due to its timestamp. lengths: samples and rate of each."""

    jump_s: float
    lengths: list[tuple[int, int]]

    @property
    def seconds(self) -> float:
        return sum(samples / rate for samples, rate in self.lengths)


class PresentationTimeline:
    """Placements of a track's frames, such that each is heard when a player would let it be heard.

    A hole is filled with silence, and audio whose time has passed is left out, so that what comes later does not shift.
    A hole counts from half a frame on, as a packet that was lost leaves a whole one; a step back counts from `JITTER_S`
    on. Either has to be confirmed by the next frame's timestamp: one that is wrong alone changes nothing. Beyond
    `MAX_HOLE_S`, `MAX_SILENCE_S` and `MAX_OVERLAP_S`, and where the clock goes back to where it began, as in files that
    were joined, the audio follows without a pause, and times count on from there.

    start_s: seconds from the container's start to the track's, None where the container does not say.
    restarts: a step back is a clock set anew, as in streams that were joined (MPEG-TS, Ogg), and no overlap.
    """

    def __init__(self, start_s: float | None = 0.0, *, restarts: bool = False) -> None:
        self._start_s, self._restarts = start_s, restarts
        self._begun = False
        self._shift_s = 0.0  # added to timestamps
        self._due_s = 0.0  # the timestamp that the next frame should have
        self._heard_s = 0.0  # what is placed so far ends here: later than what is due while an overlap is left out
        self._clock_start_s = 0.0  # where the clock that holds now was set
        self._held: _Held | None = None
        self._holes, self._skipped = _Sum(), _Sum()
        self._leaps: list[tuple[float, float]] = []
        self._leap_count = 0

    @property
    def end_s(self) -> float:
        """Seconds from the container's start to the end of the frames so far."""
        return self._heard_s + (0.0 if self._held is None else self._held.seconds)

    def push(self, time_s: float | None, samples: int, rate: int) -> list[Placement]:
        """Take the next frame; return the placements that are settled by it, in the order of the frames.

        time_s: its timestamp, in seconds from the container's start, None where it has none. samples, rate: its length,
        and samples a second.
        """
        if time_s is not None:
            self._begin(time_s)
        settled: list[Placement] = []
        if self._held is not None:
            if time_s is None and self._held.seconds < _MAX_HELD_S:
                self._held.lengths.append((samples, rate))
                return []
            settled = self._settle(None if time_s is None else time_s + self._shift_s)
        # Settling may have changed the shift.
        jump_s = 0.0 if time_s is None else time_s + self._shift_s - self._due_s
        if -JITTER_S <= jump_s <= min(max(samples / rate / 2, _LEAST_HOLE_S), JITTER_S):
            return [*settled, self._placed(0.0, samples, rate)]
        self._held = _Held(jump_s, [(samples, rate)])
        return settled

    def finish(self) -> list[Placement]:
        """The placements that are left, after the last frame."""
        return [] if self._held is None else self._settle(None)

    def warnings(self) -> list[str]:
        """Warnings about silence that was filled in, audio that was left out, and timestamps that were not followed."""
        texts = []
        if self._holes.count:
            texts.append(f"{self._holes.text('without audio')} were filled with silence")
        if self._skipped.count:
            texts.append(f"{self._skipped.text('of audio')} were left out, as their time had passed by the timestamps")
        for at_s, jump_s in self._leaps:
            way = f"leap by {jump_s:.1f}" if jump_s > 0 else f"go back by {-jump_s:.1f}"
            texts.append(f"the timestamps {way} s at {_shown(at_s)} s: the audio after it was joined without a pause")
        if (more := self._leap_count - len(self._leaps)) > 0:
            texts.append(f"the timestamps leap {more} more times")
        return texts

    def _begin(self, time_s: float) -> None:
        """Settle where the clock begins, once, by the first timestamp."""
        if self._begun:
            return
        self._begun = True
        if self._start_s is None:
            self._shift_s = self._due_s - time_s
        elif abs(time_s - self._start_s) < _MAX_DELAY_S:
            self._shift_s = max(self._start_s, 0.0) - time_s  # the delay is the decoder's, not the track's
        elif time_s < 0:
            self._shift_s = -time_s

    def _settle(self, next_s: float | None) -> list[Placement]:
        """Placements of the frames that are held, by the timestamp after them."""
        held, self._held = self._held, None
        assert held is not None
        jump_s = held.jump_s if self._is_true(held, next_s) else 0.0
        if jump_s and not self._is_followed(jump_s):
            self._leap(jump_s)
            jump_s = 0.0
        first, *rest = held.lengths
        return [self._placed(jump_s, *first), *(self._placed(0.0, *length) for length in rest)]

    def _is_true(self, held: _Held, next_s: float | None) -> bool:
        """True where the next timestamp agrees with a jump, or lies beyond it, or says nothing against a short hole."""
        short_hole = 0 < held.jump_s <= _MAX_UNCONFIRMED_S
        if next_s is None:
            return short_hole
        jump_s = next_s - (self._due_s + held.seconds)  # from where it would be without the one in doubt
        if min(abs(jump_s), abs(jump_s - held.jump_s)) > JITTER_S:
            return short_hole or 0 < held.jump_s < jump_s
        return abs(jump_s - held.jump_s) < abs(jump_s)

    def _is_followed(self, jump_s: float) -> bool:
        if jump_s < 0:
            to_its_start = self._due_s + jump_s <= self._clock_start_s + JITTER_S
            return not self._restarts and not to_its_start and -jump_s <= MAX_OVERLAP_S
        return jump_s <= MAX_HOLE_S and self._holes.seconds + jump_s <= MAX_SILENCE_S

    def _leap(self, jump_s: float) -> None:
        self._shift_s -= jump_s
        self._clock_start_s = self._due_s
        self._leap_count += 1
        if len(self._leaps) < _MAX_LEAPS_SHOWN:
            self._leaps.append((self._heard_s, jump_s))

    def _placed(self, jump_s: float, samples: int, rate: int) -> Placement:
        """The placement of a frame that begins so many seconds after the end of the one before."""
        self._due_s += jump_s
        ahead = round((self._due_s - self._heard_s) * rate)
        silence, skip = max(ahead, 0), min(max(-ahead, 0), samples)
        if silence:
            self._holes.add(self._heard_s, silence / rate)
        if skip:
            self._skipped.add(self._heard_s, skip / rate, new=jump_s < 0)
        self._due_s += samples / rate
        self._heard_s += (silence + samples - skip) / rate
        if skip == max(-ahead, 0):
            self._due_s = self._heard_s  # what is left was less than a sample
        return Placement(silence, skip)


def _shown(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.05 or not seconds else f"{seconds:.3f}"
