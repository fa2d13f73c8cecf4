"""Memory plan: a budget shared out when models load, to resident bytes, audio in flight and one batch. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from overtone.batching.cost_model import CostModel, Shape
from overtone.batching.policy import BatchLimits, bucket
from overtone.errors import BudgetError
from overtone.system.memory import MIB, format_size
from overtone.types import BYTES_PER_SAMPLE, SAMPLE_RATE
from overtone.wording import param

_AUDIO_SEGMENTS = 2
"""Segments of the longest kind that may wait or run while a batch runs, at the least."""

_AUDIO_BATCHES = 2
"""Full batches that may wait beside those segments; more would only hold memory."""

_AUDIO_SHARE = 0.1
"""Most of the free budget that goes to batches that wait."""

_BLOCK_COPIES = 2
"""Blocks of a second that a channel is held in while it comes from its decoder: as received, and as it is split."""

SAFETY_MARGIN_BYTES = 48 << 20
"""Bytes kept free for uses that no model predicts: fragmentation, results on their way out, the VAD's block."""


_DRIFT_BYTES = 16 * MIB
"""Bytes by which resident memory may differ from one start to the next, which a suggested budget allows for.

Measured: 1 MiB in a row, and 4 beside other work. How much of the libraries counts depends on what of their files the
system has read ahead.
"""

Growth = Callable[[int], int]
"""Bytes that would be resident beyond those of a plan if its budget were another, in bytes: where there is more of it,
a process that decodes may take more for a file."""


def no_growth(budget_bytes: int) -> int:
    """0, where the same number of bytes is resident with any budget."""
    return 0


def sufficient_mib(size_bytes: int, growth: Growth = no_growth) -> int:
    """The least budget, in whole MiB, that holds so many bytes and those by which they grow in it."""
    budget = -(-size_bytes // MIB)
    while (enough := -(-(size_bytes + growth(budget * MIB)) // MIB)) > budget:
        budget = enough
    return budget


def memory_param(mib: int) -> str:
    """The option `memory` with a budget of so many MiB, for a message."""
    return param("memory", f"{mib}MiB")


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of a run, decided once at start. `segmenter_bytes`: part of `audio_bytes` that sources are cut from."""

    budget_bytes: int
    resident_bytes: int
    audio_bytes: int
    segmenter_bytes: int
    longest_s: float
    batch_s: float | None
    threshold_s: float | None
    cost: CostModel
    growth: Growth = no_growth

    def suggest_budget(self, short_bytes: int) -> str:
        """A budget that holds `short_bytes` more, as it is given: part of the addition goes to audio in flight."""
        enough = sufficient_mib(int(self.budget_bytes + short_bytes / (1 - _AUDIO_SHARE)) + _DRIFT_BYTES, self.growth)
        return memory_param(enough)

    @property
    def batch_bytes(self) -> int:
        """Bytes left for the activations of one batch."""
        return self.budget_bytes - self.resident_bytes - self.audio_bytes - SAFETY_MARGIN_BYTES

    @property
    def planned_bytes(self) -> int:
        """Bytes in use when audio in flight is at its bound and the largest batch runs."""
        return self.resident_bytes + self.audio_bytes + SAFETY_MARGIN_BYTES + self.largest_batch_bytes

    @property
    def largest_batch_s(self) -> float:
        """Padded seconds of the largest batch of longest segments that fits; at least one segment."""
        limits = BatchLimits(self.batch_bytes, self.cost, self.batch_s, self.threshold_s)
        rows = 1
        while rows < 4096 and limits.fits(Shape(rows + 1, self.longest_s)):
            rows += 1
        return rows * self.longest_s

    @property
    def largest_batch_bytes(self) -> int:
        """Bytes that the largest batch may take for its activations, where caps on batches leave some unused."""
        rows = max(1, int(self.largest_batch_s / self.longest_s))
        one_more = self.cost.predict(Shape(rows + 1, self.longest_s))
        return min(self.batch_bytes, one_more)


def segmenter_bytes(longest_s: float, channels: int) -> int:
    """Bytes that so many channels hold while they are cut: the segment that grows, and its copy on its way out."""
    return int(2 * channels * longest_s * SAMPLE_RATE * BYTES_PER_SAMPLE)


def min_audio_bytes(longest_s: float, producers: int) -> int:
    """Least bytes of audio in flight for a run to go on: a few longest segments, and the audio each producer cuts."""
    return int(_AUDIO_SEGMENTS * longest_s * SAMPLE_RATE * BYTES_PER_SAMPLE) + segmenter_bytes(longest_s, producers)


def needed_bytes(resident_bytes: int, cost: CostModel, longest_s: float, producers: int) -> int:
    """The least budget that runs segments of `longest_s` seconds, one at a time."""
    one_segment = cost.predict(Shape(1, bucket(round(longest_s * SAMPLE_RATE)) / SAMPLE_RATE))
    return resident_bytes + SAFETY_MARGIN_BYTES + min_audio_bytes(longest_s, producers) + one_segment


def plan_offload(
    block_bytes: Mapping[str, int],
    device: str,
    *,
    spare_bytes: int,
    cost: CostModel,
    longest_s: float,
    batch_s: float,
) -> dict[str, str]:
    """Plan the place of each block of a network that may be offloaded: name to `device` or `cpu`.

    A block kept on the device is not moved, and one on the CPU leaves room for larger batches, which are fewer:
    so many are kept as make the fewest bytes moved for a second of audio.

    - `block_bytes`: weights of each block, in the order in which they run.
    - `spare_bytes`: the rest of the budget with all of them on the CPU and one segment of `longest_s` seconds running.
    - `batch_s`: padded seconds beyond which a batch does not grow.
    """
    names, sizes = list(block_bytes), list(block_bytes.values())
    one_segment = cost.predict(Shape(1, longest_s))
    best, best_rate = 0, float("inf")
    for kept in range(len(names) + 1):
        left = spare_bytes - sum(sizes[:kept])
        if left < 0:
            break
        rows = 1
        while (rows + 1) * longest_s <= batch_s and cost.predict(Shape(rows + 1, longest_s)) <= one_segment + left:
            rows += 1
        rate = sum(sizes[kept:]) / (rows * longest_s)
        if rate < best_rate:
            best, best_rate = kept, rate
    return {name: device if index < best else "cpu" for index, name in enumerate(names)}


def make_plan(  # noqa: PLR0913 - each is named where it is called
    *,
    budget_bytes: int,
    resident_bytes: int,
    cost: CostModel,
    longest_s: float,
    producers: int = 1,
    batch_s: float | None = None,
    threshold_s: float | None = None,
    growth: Growth = no_growth,
) -> Plan:
    """Share out a budget, or raise BudgetError with the number that would do and the changes that would make it fit.

    - `budget_bytes`: limit of the whole process (on a GPU: of the device).
    - `resident_bytes`: bytes held with the model loaded and nothing running.
    - `longest_s`: the longest segment, in seconds.
    - `producers`: sources decoded at once.
    - `batch_s`, `threshold_s`: `batch_size_s` and `batch_size_threshold_s`, caps in padded seconds.
    - `growth`: of `resident_bytes` in another budget.
    """
    longest_s = bucket(round(longest_s * SAMPLE_RATE)) / SAMPLE_RATE
    least_audio = min_audio_bytes(longest_s, producers)
    needed = needed_bytes(resident_bytes, cost, longest_s, producers)
    if needed > budget_bytes:
        enough_mib = sufficient_mib(needed + _DRIFT_BYTES, growth)
        error = BudgetError(_refusal(budget_bytes, resident_bytes, cost, longest_s, producers, enough_mib))
        error.enough_bytes = enough_mib * MIB
        raise error
    ahead = _AUDIO_BATCHES * (batch_s or longest_s) * SAMPLE_RATE * BYTES_PER_SAMPLE
    audio_bytes = least_audio + int(min(ahead, (budget_bytes - needed) * _AUDIO_SHARE))
    cutting = segmenter_bytes(longest_s, producers)
    return Plan(budget_bytes, resident_bytes, audio_bytes, cutting, longest_s, batch_s, threshold_s, cost, growth)


def channel_bytes(plan: Plan, channels: int, planned: int) -> int:
    """Bytes that a source takes beyond the plan because it is cut into more channels than were planned for.

    - `channels`: of the source, cut at once.
    - `planned`: those that the plan has room for.

    Raises BudgetError, with the number that would do, if they cannot be held beside a segment that runs.
    """
    more = max(0, channels - planned)
    need = segmenter_bytes(plan.longest_s, more) + _BLOCK_COPIES * more * BYTES_PER_SAMPLE * SAMPLE_RATE
    short = plan.cost.predict(Shape(1, plan.longest_s)) + need - plan.batch_bytes
    if need and short > 0:
        raise BudgetError(
            f"its {channels} channels at once need {format_size(need)} beyond what was planned for; give "
            f"{plan.suggest_budget(short)}, cut shorter with {param('max_segment')} (or "
            f"{param('window')}), or mix them ({param('channels', 'mix')})."
        )
    return need


def whole_file_bytes(plan: Plan, samples: int, channels: int = 1, *, of_all: bool = False) -> int:
    """Bytes that a file holds until it runs whole, each of its channels by itself; BudgetError if it cannot be held.

    of_all: these are all of its samples, as its header says, so the error can name the budget that would do.
    """
    seconds = bucket(samples) / SAMPLE_RATE
    # Each channel is held, and one of them twice for a moment: as it came, and as one segment.
    held = (channels + 1) * samples * BYTES_PER_SAMPLE
    need = plan.cost.predict(Shape(1, seconds)) + max(0, held - plan.audio_bytes)
    if need > plan.batch_bytes:
        part, give = ("its", "give") if of_all else ("its first", "give more than")
        raise BudgetError(
            f"run whole, {part} {seconds:.0f} s need {format_size(need)}, and {format_size(plan.batch_bytes)} are left "
            f"of {format_size(plan.budget_bytes)}; {give} {plan.suggest_budget(need - plan.batch_bytes)}, or let it be "
            f"cut ({param('context', 'segment')})."
        )
    return held


def _refusal(budget: int, resident: int, cost: CostModel, longest_s: float, producers: int, enough_mib: int) -> str:
    def need(seconds: float) -> int:
        return resident + SAFETY_MARGIN_BYTES + min_audio_bytes(seconds, producers) + cost.predict(Shape(1, seconds))

    shorter = [s for s in (20.0, 15.0, 10.0, 5.0) if s < longest_s and need(s) <= budget]
    advice = [f"give it {memory_param(enough_mib)}"]
    if shorter:
        advice.append(f"cut shorter with {param('max_segment', shorter[0])} (or {param('window')})")
    smaller = "take a smaller model"
    advice.append(smaller if resident > budget // 2 else f"{smaller} or lower {param('threads')}")
    return (
        f"{format_size(budget)} cannot hold this run: {format_size(resident)} are resident with the model loaded, "
        f"a segment of {longest_s:g} s needs {format_size(cost.predict(Shape(1, longest_s)))}, audio on its way "
        f"{format_size(min_audio_bytes(longest_s, producers))}; {format_size(enough_mib * MIB)} would do. "
        f"To make it fit: {'; '.join(advice)}."
    )
