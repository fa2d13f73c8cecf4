"""What a pipeline does with a channel of audio: how it is cut, who is asked, and how the answers are put together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from overtone.engine.engine import Fleet
from overtone.engine.worker import Engine
from overtone.models.registry import Role
from overtone.options.emotion import Options
from overtone.pipelines.channel import Merging
from overtone.pipelines.request import Caller, Wishes
from overtone.segmentation.segmenters import Cutter
from overtone.types import FRAMES, Samples

_Merged_co = TypeVar("_Merged_co", covariant=True)


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
