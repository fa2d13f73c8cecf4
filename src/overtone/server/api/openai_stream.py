"""A transcript as server-sent events: its text as it becomes known, and at the end all of it.

transcript.text.delta     more of the text, as segments are answered
transcript.text.segment   a sentence with its speaker, with diarized_json; known only when all has been heard
transcript.text.done      the text, as it would have come without events
{"error": …}              instead of the rest, where something went wrong after the first event
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from overtone.errors import OvertoneError
from overtone.server.api import problems
from overtone.server.api.dependencies import cancel_on_disconnect
from overtone.server.api.events import ALIVE, ALIVE_S, HEADERS, MEDIA_TYPE, event
from overtone.server.api.openai_format import done_event, segment_events, transcript_of
from overtone.server.api.openai_params import OpenAIParams
from overtone.server.api.upload_request import UploadRequest
from overtone.server.observability.logs import request_id
from overtone.server.state import Server
from overtone.types import ModelOutput, Segment, TokenOutput

_LOG = logging.getLogger("overtone.server")


class TranscriptEvents:
    """The events of one streamed answer. Close it, which ends the work where it is still going on.

    Outputs of segments wait here for a slow reader: at most those of one file, some bytes for each word.
    """

    def __init__(self, server: Server, given: UploadRequest, asked: OpenAIParams) -> None:
        self._given, self._asked = given, asked
        self._partial = server.host.transcriber.partial_text()
        self._outputs: asyncio.Queue[tuple[Segment, TokenOutput | None] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._sent = ""
        answering = server.service.answer(given.upload, given.call, given.ticket, self._heard)
        self._answering = asyncio.create_task(answering)
        self._answering.add_done_callback(lambda _: self._outputs.put_nowait(None))

    def _heard(self, segment: Segment, output: ModelOutput | None) -> None:
        """Take what the recognizer says of a segment, from the thread of a model."""
        if output is None or isinstance(output, TokenOutput):
            with suppress(RuntimeError):  # the loop has ended, and the service with it
                self._loop.call_soon_threadsafe(self._outputs.put_nowait, (segment, output))

    async def first(self) -> str:
        """The first event, or "" where all is answered before any text is known. Raises what went wrong before it."""
        while (heard := await self._outputs.get()) is not None:
            if delta := await self._delta(*heard):
                return delta
        self._outputs.put_nowait(None)
        self._answering.result()
        return ""

    async def rest(self) -> AsyncGenerator[str, None]:
        """All events after the first, and signs of life between them."""
        try:
            while True:
                try:
                    heard = await asyncio.wait_for(self._outputs.get(), ALIVE_S)
                except asyncio.TimeoutError:
                    yield ALIVE
                    continue
                if heard is None:
                    break
                if delta := await self._delta(*heard):
                    yield delta
            for text in await self._last():
                yield text
        except OvertoneError as error:
            yield self._failed(error)
        except Exception as error:  # noqa: BLE001 - the status has been sent; it is told as an event
            _LOG.exception("a streamed answer met a fault")
            yield self._failed(error)

    async def _delta(self, segment: Segment, output: TokenOutput | None) -> str:
        """The event of the next output, "" where it adds no text."""
        return self._added(await asyncio.to_thread(self._partial.push, segment, output))

    def _added(self, text: str) -> str:
        self._sent += text
        return event({"type": "transcript.text.delta", "delta": text}) if text else ""

    async def _last(self) -> list[str]:
        """The events once everything is answered. Raises what went wrong."""
        answer = await self._answering
        self._given.request.state.timings = answer.timings if answer.found == "miss" else None
        line = next(answer.lines(self._given.upload.name))
        told = await asyncio.to_thread(transcript_of, line)
        events = [self._added(told.text.removeprefix(self._sent))]
        if self._asked.form == "diarized_json":
            events += [event(segment) for segment in segment_events(told)]
        return [*filter(None, events), event(done_event(told, self._asked))]

    def _failed(self, error: Exception) -> str:
        self._given.request.state.refused = problems.code_of(error)
        return event(problems.openai_error_of(error, request_id() or ""))

    async def close(self) -> None:
        """End the work, unless others wait for it too, and remove the file."""
        self._answering.cancel()
        await asyncio.gather(self._answering, return_exceptions=True)
        await self._given.release()


class _EventResponse(StreamingResponse):
    """Events, which are closed also where their client goes before the last of them."""

    def __init__(self, events: TranscriptEvents, first: str, headers: Mapping[str, str]) -> None:
        self._events, self._texts = events, _with_first(first, events.rest())
        super().__init__(self._texts, media_type=MEDIA_TYPE, headers={**HEADERS, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._texts.aclose()
            await self._events.close()


async def _with_first(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    if first:
        yield first
    async for text in rest:
        yield text


async def streamed(server: Server, given: UploadRequest, asked: OpenAIParams, headers: Mapping[str, str]) -> Response:
    """The response to a request for events, begun once the first is there: what goes wrong before is an error with its
    status. The work ends when the client goes."""
    try:
        events = TranscriptEvents(server, given, asked)
    except BaseException:
        await given.release()
        raise
    try:
        first = await cancel_on_disconnect(given.request, events.first())
    except BaseException:
        await events.close()
        raise
    return _EventResponse(events, first, headers)
