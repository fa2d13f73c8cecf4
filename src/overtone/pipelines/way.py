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
from overtone.pipelines.channel import Aggregator
from overtone.pipelines.request import CallOptions, RequestContext
from overtone.segmentation.segmenters import Segmenter
from overtone.types import FRAMES, Samples

_Pooled_co = TypeVar("_Pooled_co", covariant=True)


class Way(Protocol[_Pooled_co]):
    """See the module. One for each pipeline; used by any thread."""

    @property
    def shortest(self) -> int:
        """Samples below which there is nothing to work on."""

    @property
    def keeps_files(self) -> bool:
        """Whether a source under way may hold open files, whatever its options."""

    def make_segmenter(self, options: Options, channels: int) -> Segmenter:
        """Cuts one of so many channels of a source."""

    def make_aggregator(self, options: Options) -> Aggregator[_Pooled_co]:
        """Puts one channel's answer together."""

    def submit_segment(self, call: CallOptions, ctx: RequestContext, samples: Samples) -> Sequence[Future[Any]]:
        """Ask every model for what it says of a segment; may wait for room."""


def ask(
    engine: Engine | Fleet, ctx: RequestContext, samples: Samples, role: Role, decode_params: Hashable = None
) -> Future[Any]:
    """Ask one model for what it says of a segment; may wait for room. What the caller knows from before is not asked.

    role: what the model is for. Frames are always asked for: they are too many to be kept by anybody.
    """
    cache_key = f"{role} {decode_params!r}"
    if decode_params != FRAMES and (known := ctx.cache_get(cache_key, samples)) is not None:
        answer: Future[Any] = Future()
        answer.set_result(known)
        return answer
    answer = engine.submit(samples, decode_params=decode_params, background=ctx.background)
    if decode_params != FRAMES and type(ctx).cache_put is not RequestContext.cache_put:
        answer.add_done_callback(partial(_keep, ctx, cache_key, samples))
    return answer


def _keep(ctx: RequestContext, cache_key: str, samples: Samples, answer: Future[Any]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        ctx.cache_put(cache_key, samples, answer.result())
