"""The way through the service, the same for HTTP, live streams, jobs and the page.

admission → upload → cache → a thread that decodes, submits and waits → the answer, kept
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from overtone.errors import Code, InputError, ModelError, OvertoneError, RefusedError
from overtone.pipelines.channel import OnOutput
from overtone.pipelines.ingest import is_short
from overtone.pipelines.request import RequestContext
from overtone.results import Result
from overtone.server.auth import Owner
from overtone.server.cache import ResultCache, key_of
from overtone.server.inference.admission import Admission, Ticket
from overtone.server.inference.answer import CachedAnswer, answer_of
from overtone.server.inference.model_host import ModelSupervisor, was_unavailable
from overtone.server.inference.models import AnyPipeline, Task
from overtone.server.inference.request import InferenceRequest, work_s
from overtone.server.inference.thread_slots import MOST_WAITING, ThreadSlots, ending
from overtone.server.inference.upload_reader import LEAST_RATE, CancellableFile, LimitedContext, check_length, claimed
from overtone.server.observability.metrics import Metrics
from overtone.server.settings import CacheNamespace
from overtone.server.uploads import Upload

_LOG = logging.getLogger("overtone.server")

_T = TypeVar("_T")

_NAMELESS = "upload"
"""The name of a file while its answer is made, which others may get too."""

_LARGE_BYTES = 256 << 10

_TYPICAL_S = 5.0
"""Seconds of audio that a request is taken for before there was one."""

_COMING_S = 2.0
"""Seconds for which a place is kept. Who sends slowly takes none from others, and may find none when it is done."""

_TYPICAL_SHARE = 0.05
"""The weight of the last request in the typical length: some twenty count."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """most_audio_s: of one request that is answered at once. deadline_s: within which an answer is wanted."""

    most_audio_s: float
    deadline_s: float


class Service:
    """Answers files, many at a time. Used from the event loop; `close` it last."""

    def __init__(
        self,
        host: ModelSupervisor,
        admission: Admission,
        answers: ResultCache,
        bounds: RequestLimits,
        metrics: Metrics,
        cache_namespace: CacheNamespace = "key",
    ) -> None:
        self.host, self.admission, self.answers, self.bounds, self.metrics = host, admission, answers, bounds, metrics
        self._cache_namespace = cache_namespace
        self._threads = ThreadPoolExecutor(MOST_WAITING, thread_name_prefix="overtone-answer")
        self._slots = ThreadSlots()
        # Live streams wait for room in the engine in threads of their own, and nobody for them.
        self._live_threads = ThreadPoolExecutor(max(1, admission.limits.live), thread_name_prefix="overtone-live")
        self._typical_s = _TYPICAL_S
        self.draining = asyncio.Event()
        """Set once nothing new is let in."""

    def check_open(self, task: Task = "emotion") -> AnyPipeline:
        """The pipeline of a task. RefusedError: not_ready while none are taken, or as `ModelSupervisor.answering`."""
        if self.draining.is_set():
            raise ending()
        return self.host.answering(task)

    def reserve(self, call: InferenceRequest, announced_bytes: int) -> Ticket:
        """A ticket for an upload that is about to come, which is taken for as long as others of late.

        RefusedError (busy) before anything of it is read, where it could not be let in: many that come at once would
        all be received only for most of them to be refused. Let it `lapse`, whatever comes of it: an answer that is
        under way keeps it until it ends.
        """
        self.check_open(call.task)
        expected_s = min(self._typical_s, announced_bytes / LEAST_RATE) if announced_bytes else self._typical_s
        ticket = self.admission.admit(Owner.name_of(call.owner), expected_s, self.host.rate, Owner.limit_of(call.owner))
        asyncio.get_running_loop().call_later(_COMING_S, ticket.lapse)
        return ticket

    @property
    def wait_s(self) -> float:
        """Seconds until all audio in flight is answered."""
        return self.admission.wait_s(self.host.rate)

    async def answer(
        self, upload: Upload, call: InferenceRequest, ticket: Ticket | None = None, on_output: OnOutput | None = None
    ) -> CachedAnswer:
        """The answer for a file that has been received. ticket: what `reserve` gave for it.

        on_output: follows the models, where the answer is made for this request, and neither kept nor being made.
        Raises InputError, UsageError and RefusedError: busy, too_long, deadline, not_ready. Where it is cancelled, its
        work ends, unless somebody else waits for the same.
        """
        # Neither a hit, nor how long it took, nor joining it tells one owner what another has sent.
        namespace = Owner.name_of(call.owner) if self._cache_namespace == "key" else None
        key = key_of(upload.digest, self._models_of(call.task), call.cache_identity, namespace)
        answer = await self.with_deadline(
            self._answer(key, lambda: self._make(upload, call, ticket, on_output), upload)
        )
        self.metrics.audio(answer.duration_s, "interactive", call.task)
        return answer

    async def _answer(self, key: str, make_own: Callable[[], Awaitable[bytes]], upload: Upload) -> CachedAnswer:
        """From the cache, from who is being answered the same just now, or made."""
        own = False

        def make() -> Awaitable[bytes]:
            nonlocal own
            own = True
            return make_own()

        try:
            kept, found = await self.answers.get_or_make(key, make)
            return await _aside_if_large(kept, lambda: CachedAnswer.from_kept(kept, found))
        except InputError as error:
            if own or error.code != Code.NOT_FOUND:
                # It was made for a file without a name, as others may wait for it who called theirs otherwise.
                said = error.template.removeprefix(f"{_NAMELESS}: ")
                raise InputError(f"{upload.name}: {said}", code=error.code) from None
        except (OSError, RefusedError, ValueError, KeyError, TypeError):
            if own:
                raise
        # What the other's request ended with was its own: its upload gone, its key's share used up; or what was kept
        # cannot be read any more.
        return CachedAnswer.from_kept(await make_own(), "miss")

    def _models_of(self, task: Task) -> str:
        """The state that answers depend on, beside the audio and the call."""
        answering = self.check_open(task)
        runtime, options = answering.runtime, answering.options
        names = {role: model.name for role, model in runtime.models.items()}
        engine = runtime.engine
        return repr((self.host.fingerprints[task], names, engine.precision, engine.backend_name, options))

    async def with_deadline(self, making: Awaitable[_T]) -> _T:
        """The outcome, or RefusedError (deadline)."""
        try:
            return await asyncio.wait_for(making, self.bounds.deadline_s)
        except asyncio.TimeoutError:
            raise RefusedError(
                f"it was not answered within {self.bounds.deadline_s:g} s, and given up; send less at once, or a job.",
                code=Code.DEADLINE,
            ) from None

    async def _make(
        self, upload: Upload, call: InferenceRequest, ticket: Ticket | None, on_output: OnOutput | None
    ) -> bytes:
        options = self.host.answering(call.task).options
        results = await self.results(replace(upload, name=_NAMELESS), call, ticket, on_output=on_output)
        return await asyncio.to_thread(lambda: answer_of(results, call, options).kept())

    async def results(
        self,
        upload: Upload,
        call: InferenceRequest,
        ticket: Ticket | None = None,
        *,
        envelope: bool = False,
        on_output: OnOutput | None = None,
    ) -> list[Result]:
        """The results for a file, one for each channel asked for, once it is let in; never cached.

        ticket, on_output: as for `answer`. envelope: keep the waveform's outline. Raises as `answer`, but for the
        deadline, which is its caller's.
        """
        # Who has a ticket was let in, also where the service has been told to end since.
        answering = self.check_open(call.task) if ticket is None else self.host.answering(call.task)
        loop = asyncio.get_running_loop()
        options = answering.options.for_call(**call.options)
        try:
            about = (upload.path, upload.name, upload.size_bytes, options.audio_track)
            said = await asyncio.to_thread(claimed, answering, *about)
        except OvertoneError as error:
            if (shown := self._for_client(error)) is error:
                raise
            raise shown from error
        check_length(said.seconds, self.bounds.most_audio_s)
        work = partial(work_s, options, channels=said.channels)
        self._typical_s += _TYPICAL_SHARE * (work(said.seconds) - self._typical_s)
        if ticket is None:
            ticket = Ticket(self.admission, Owner.name_of(call.owner), Owner.limit_of(call.owner))
        ticket.correct(work(said.seconds), self.host.rate)

        def told(seconds: float) -> None:
            loop.call_soon_threadsafe(ticket.update, work(seconds))

        ctx = LimitedContext(self.bounds.most_audio_s, said.seconds, told, on_output, call.tenant)

        def answered() -> list[Result]:
            with CancellableFile(upload.path, upload.name, ctx) as file:
                return [*answering.results_for(file, ctx, envelope=envelope, **call.options)]

        results = await self._run(answered, ctx, ticket)
        self.metrics.stage(results[0].timings)
        return results

    async def _run(self, work: Callable[[], _T], ctx: RequestContext, ticket: Ticket) -> _T:
        """Do the work in a thread, once it is its turn, and stop it when its request is given up."""
        try:
            slot = await self._slots.acquire(ctx.flow, short=is_short(ctx))
        except BaseException:
            ticket.release()
            raise
        try:
            begun = self._threads.submit(work)
        except BaseException:  # no thread could be started, say
            self._slots.release(slot)
            ticket.release()
            raise
        running = asyncio.wrap_future(begun)
        # What it holds is given back when it ends, and not when nobody waits for it any more.
        running.add_done_callback(partial(_ended, ticket))
        running.add_done_callback(lambda _: self._slots.release(slot))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            ctx.cancel()
            begun.cancel()  # it never begins, if it still waits for a thread
            raise
        except OvertoneError as error:
            if (shown := self._for_client(error)) is error:
                raise
            raise shown from error

    def _for_client(self, error: OvertoneError) -> OvertoneError:
        """The error of a request as its client gets it: without what concerns the service alone."""
        if not (isinstance(error, ModelError) or was_unavailable(error)):
            return error
        _LOG.error("the model did not answer: %s", error)
        if self.host.alive and not was_unavailable(error):
            text = "the model cannot run on this audio; the service's log says why."
            return InputError(text, code=Code.MODEL_FAILED)
        # The model's end is not the request's doing: it is worth asking again once there is another.
        text = "the model died or is being closed; ask again in a few seconds."
        return RefusedError(text, code=Code.NOT_READY, retry_after_s=5.0)

    async def live(self, work: Callable[[], _T]) -> _T:
        """Do a live stream's work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._live_threads, work)

    async def close(self) -> None:
        """Let nothing in, and let go of the threads."""
        self._live_threads.shutdown(wait=False, cancel_futures=True)
        self.draining.set()
        self._slots.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self.answers.close()


async def _aside_if_large(kept: bytes, work: Callable[[], _T]) -> _T:
    """Done here, or in a thread where it would hold up the loop for milliseconds."""
    return work() if len(kept) < _LARGE_BYTES else await asyncio.to_thread(work)


def _ended(ticket: Ticket, done: asyncio.Future[_T]) -> None:
    ticket.release()
    if not done.cancelled():
        done.exception()  # looked at, also where nobody waits for it any more
