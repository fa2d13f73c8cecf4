"""`WS /v1/stream`: speech as it is spoken, emotion as it is heard.

client: PCM16, Opus or WebM in binary messages; the text `end` when it is over
server: {"type": "ready", …}; {"type": "emotion", "start", "end", "label", "score", "scores"} every hop;
        {"type": "summary", "record": {…}}, the record that a file of it would get; {"type": "error", "code", …}
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from overtone.errors import Code, OvertoneError, RefusedError, UsageError
from overtone.output.records import segment_record, to_json, to_record
from overtone.pipelines.live import LiveSession, LiveUpdate
from overtone.pipelines.request import RequestContext
from overtone.server.api import problems
from overtone.server.api.dependencies import ServerState, client_of, owner_of
from overtone.server.api.params import boolean, number
from overtone.server.auth import Owner
from overtone.server.inference.live_audio import Reader, open_reader
from overtone.server.observability.logs import request_id
from overtone.server.state import Server
from overtone.types import SAMPLE_RATE

_LOG = logging.getLogger("overtone.server")

_OPTIONS = ("window", "hop", "vad", "labels", "max_segment", "keep_silence", "granularity")
_OWN = ("format", "rate", "channels", "name")

_AHEAD_S = 30.0
"""Seconds that a stream may be ahead of the clock: a connection that stalls catches up, and a file that is sent as a
stream is taken at the speed of speech, which is what was let in."""

_UNREAD = 32
"""Answers that wait for a slow reader. Then nothing more is taken in, until it is stopped."""

_SEND_S = 10.0
"""Seconds that a reader may take for one answer."""

_CODES: Mapping[str, int] = {
    Code.BUSY: 1013,
    Code.NOT_READY: 1013,
    Code.UPLOAD_TIMEOUT: 4408,
    Code.FAULT: 1011,
    Code.TOO_LONG: 1009,
}
"""The codes that end a stream for an error: RFC 6455, section 7.4.1, and 4000 and more are an application's own."""


router = APIRouter()


@router.websocket("/v1/stream")
async def stream(socket: WebSocket, server: ServerState) -> None:
    """Emotion while it is spoken; `docs/server.md` describes the messages."""
    try:
        owner = owner_of(socket, server.keyring)
        asked = _asked(socket)
        server.service.check_open()
        decoder = server.host.recognizer.runtime.packet_decoder
        reader = open_reader(asked.form, asked.rate, asked.channels, decoder)
        rate = server.host.rate
        ctx = RequestContext(client_of(socket) if owner is None else owner.name)
        live = server.host.recognizer.live(ctx, name=asked.name, rate=reader.rate, **asked.options)
        place = server.service.admission.open_live(live.realtime_factor, rate, Owner.name_of(owner))
    except OvertoneError as error:
        socket.state.refused = problems.code_of(error)
        await socket.send_denial_response(problems.problem_response(error, request_id() or ""))
        return
    try:
        await socket.accept()
        await _Conversation(server, socket, live, reader).run()
    finally:
        place.release()
        ctx.cancel()
        await asyncio.to_thread(reader.close)


@dataclass(frozen=True, slots=True)
class StreamParams:
    """The parameters of a stream: the form and the rate of its samples, and the options of the call."""

    form: str
    rate: int
    channels: int
    name: str
    options: Mapping[str, Any]


def _asked(socket: WebSocket) -> StreamParams:
    given = dict(socket.query_params)
    if len(given) != len(socket.query_params.multi_items()):
        raise UsageError("a parameter is given twice.")
    if unknown := next((name for name in given if name not in (*_OPTIONS, *_OWN)), None):
        raise UsageError(f"there is no parameter {unknown!r}; there are: {', '.join((*_OWN, *_OPTIONS))}.")
    options: dict[str, Any] = {"hop": 1.0}
    for name in ("window", "hop", "max_segment"):
        if name in given:
            options[name] = _number(name, given[name])
    for name in ("labels", "granularity", "vad"):
        if name in given:
            options[name] = given[name]
    if "keep_silence" in given:
        options["keep_silence"] = boolean("keep_silence", given["keep_silence"])
    return StreamParams(
        given.get("format", "pcm16"),
        _whole("rate", given.get("rate", str(SAMPLE_RATE))),
        _whole("channels", given.get("channels", "1")),
        given.get("name", "stream")[:200],
        options,
    )


def _number(name: str, text: str) -> float:
    value = number(float, name, text, "a number")
    if not 0 < value < 1e9:
        raise UsageError(f"{name} is {text!r}; it has to be above 0.")
    return value


def _whole(name: str, text: str) -> int:
    value = _number(name, text)
    if value != int(value):
        raise UsageError(f"{name} is {text!r}; it has to be a whole number.")
    return int(value)


class _Conversation:
    """One stream: takes audio in, sends answers out, and ends."""

    def __init__(self, server: Server, socket: WebSocket, live: LiveSession, reader: Reader) -> None:
        self._server, self._socket, self._live, self._reader = server, socket, live, reader
        self._updates: asyncio.Queue[LiveUpdate | None] = asyncio.Queue(_UNREAD)
        self._settings = server.settings

    async def run(self) -> None:
        """Until the client or the service ends it."""
        telling = asyncio.create_task(self._tell_all())
        try:
            await self._send({"type": "ready", "sample_rate": SAMPLE_RATE, "name": self._live.name})
            listening = asyncio.create_task(self._listen())
            try:
                await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
                if not listening.done():
                    telling.result()  # it ends before listening does only by an error
                listening.result()
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            await self._updates.put(None)
            await telling
            result = await self._server.service.live(self._live.finish)
            result = replace(result, warnings=(*self._reader.warnings(), *result.warnings))
            self._server.metrics.audio(result.duration, "live")
            await self._send({"type": "summary", "record": to_record(result, granularity=self._live.granularity)})
            await self._socket.close()
        except WebSocketDisconnect:
            return  # nobody is left to be told
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            if not isinstance(error, OvertoneError):
                _LOG.exception("a live stream met a fault")
            await self._refuse(error)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _refuse(self, error: Exception) -> None:
        self._socket.state.refused = problems.code_of(error)
        told = problems.problem_of(error, request_id() or "")
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._send({**told, "type": "error"})
            await self._socket.close(_CODES.get(problems.code_of(error), 1008))

    async def _listen(self) -> None:
        began = silent_since = time.monotonic()
        while True:
            message = await self._next(silent_since)
            pieces, silent = self._reader.finish() if message is None else self._reader.read(message), True
            while (samples := await self._server.service.live(partial(next, pieces, None))) is not None:
                heard_s = self._live.samples / SAMPLE_RATE + len(samples) / self._reader.rate
                if heard_s > self._settings.max_job_audio_s:
                    raise RefusedError(
                        f"a stream lasts {self._settings.max_job_audio_s:g} s at most; open another.",
                        code=Code.TOO_LONG,
                    )
                if (ahead_s := heard_s - _AHEAD_S - (time.monotonic() - began)) > 0:
                    with suppress(asyncio.TimeoutError):  # or until the service ends, which answers what was heard
                        await asyncio.wait_for(self._server.service.draining.wait(), ahead_s)
                silent = silent and not len(samples)
                await self._hear(partial(self._live.push, samples))
            if message is None:
                await self._hear(self._live.flush)
                return
            if not silent:
                silent_since = time.monotonic()  # once it is heard: how long that took is not the client's silence
            elif time.monotonic() > silent_since + self._settings.live_idle_s:
                raise self._idle()  # messages without audio are no signs of life

    async def _hear(self, take: Callable[[], list[LiveUpdate]]) -> None:
        """Have the session take something in, and pass on the updates that this completes."""
        for update in await self._server.service.live(take):
            await self._updates.put(update)

    async def _next(self, since: float) -> bytes | None:
        """The next audio; None at the end. RefusedError where there was none `since` too long, or the service ends."""
        patience_s = max(0.0, since + self._settings.live_idle_s - time.monotonic())
        receiving = asyncio.ensure_future(self._socket.receive())
        draining = asyncio.ensure_future(self._server.service.draining.wait())
        try:
            await asyncio.wait((receiving, draining), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                return None  # what was heard so far is answered
            if not receiving.done():
                raise self._idle()
            try:
                message = receiving.result()
            except RuntimeError:  # it had gone before
                raise WebSocketDisconnect(1006) from None
        finally:
            for waiting in (receiving, draining):
                waiting.cancel()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if message.get("bytes") is not None:
            return bytes(message["bytes"])
        if message.get("text", "").strip() in ("end", '{"type": "end"}', '{"type":"end"}'):
            return None
        raise UsageError("a text message that is not `end`; audio comes in binary messages.")

    def _idle(self) -> RefusedError:
        text = f"nothing was heard for {self._settings.live_idle_s:g} s, and the stream is closed."
        return RefusedError(text, code=Code.UPLOAD_TIMEOUT)

    async def _tell_all(self) -> None:
        while (update := await self._updates.get()) is not None:
            if update.answer is not None:
                with suppress(Exception):  # `poll` says it
                    await asyncio.wrap_future(update.answer)
            await self._send({"type": "emotion", **segment_record(self._live.poll(update))})

    async def _send(self, value: Mapping[str, Any]) -> None:
        try:
            await asyncio.wait_for(self._socket.send_text(to_json(value)), _SEND_S)
        except (asyncio.TimeoutError, RuntimeError):  # it does not read, or has gone
            raise WebSocketDisconnect(1008) from None
