"""What a pipeline does with a channel of audio: how it is cut, who is asked, and how the answers are put together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from overtone.batching.policy import check_whole, longest_segment
from overtone.engine.engine import Fleet
from overtone.engine.runtime import Runtime
from overtone.engine.worker import Engine
from overtone.models.registry import Role
from overtone.options.emotion import Options
from overtone.pipelines.channel import Merging
from overtone.pipelines.request import Caller
from overtone.segmentation.segmenters import Cutter, PauseSegmenter, WholeCutter, WindowCutter
from overtone.segmentation.silero_vad import SileroVad
from overtone.types import FRAMES, SAMPLE_RATE, Samples

_Merged_co = TypeVar("_Merged_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one call wants. `options`: those of the pipeline with the call's own. `envelope`: keep the outline."""

    options: Options
    envelope: bool = False

    @property
    def frames(self) -> bool:
        """Whether frames are kept."""
        return self.options.granularity == "frame"

    @property
    def split(self) -> bool:
        """Whether each channel is answered by itself."""
        return self.options.channels == "split"


class Way(Protocol[_Merged_co]):
    """See the module. One for each pipeline; used by any thread."""

    @property
    def shortest(self) -> int:
        """Samples below which there is nothing to work on."""

    @property
    def keeps_files(self) -> bool:
        """Whether a source under way may hold open files, whatever its options."""

    def cutter(self, options: Options, channels: int) -> Cutter:
        """Cuts one of so many channels of a source."""

    def merger(self, options: Options) -> Merging[_Merged_co]:
        """Puts one channel's answer together."""

    def ask(self, wishes: Wishes, caller: Caller, samples: Samples) -> Sequence[Future[Any]]:
        """Ask every model for what it says of a segment; may wait for room."""


def ask(engine: Engine | Fleet, caller: Caller, samples: Samples, role: Role, wish: Hashable = None) -> Future[Any]:
    """Ask one model for what it says of a segment; may wait for room. What the caller knows from before is not asked.

    role: what the model is for. Frames are always asked for: they are too many to be kept by anybody.
    """
    question = f"{role} {wish!r}"
    if wish != FRAMES and (known := caller.recall(question, samples)) is not None:
        answer: Future[Any] = Future()
        answer.set_result(known)
        return answer
    answer = engine.submit(samples, wish=wish, background=caller.background)
    if wish != FRAMES and type(caller).keep is not Caller.keep:
        answer.add_done_callback(partial(_keep, caller, question, samples))
    return answer


def _keep(caller: Caller, question: str, samples: Samples, answer: Future[Any]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        caller.keep(question, samples, answer.result())


class Cutters:
    """Makes cutters as options ask for them, with one Silero VAD for all."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._vad = SileroVad()

    def make(self, options: Options, channels: int) -> Cutter:
        """A cutter for one of so many channels of a source."""
        if options.whole:
            return WholeCutter(partial(self._admit, channels), keep_silence=options.keep_silence)
        if options.segment == "window":
            window, hop = (round(s * SAMPLE_RATE) for s in (options.window, options.hop or options.window))
            return WindowCutter(window, hop, keep_silence=options.keep_silence)
        longest = longest_segment(options.longest_s, options.batch_size_s)
        return PauseSegmenter(longest, self._vad, keep_silence=options.keep_silence)

    def _admit(self, channels: int, samples: int) -> None:
        """BudgetError if a file that is to run whole is longer than the budget can hold."""
        engines = (self._runtime.engine, *(unit.engine for unit in self._runtime.more.values()))
        if any(check_whole(engine.plan, samples, channels) > engine.plan.audio_bytes for engine in engines):
            # What it holds was not planned for beside a batch: those of the files before it end first.
            for engine in engines:
                engine.wait_until_idle()
