"""The page: what happens when something on it is touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from overtone.errors import OvertoneError
from overtone.options.emotion import Options
from overtone.results import Result
from overtone.server.api.params import options_of
from overtone.server.inference.models import Task, check_wish
from overtone.server.inference.request import InferenceRequest
from overtone.server.middleware.places import client_name
from overtone.server.state import Server
from overtone.server.ui import markup
from overtone.server.ui.asked import Facts, options_given, place_of
from overtone.server.ui.door import Door
from overtone.server.ui.errors import Limits
from overtone.server.ui.kept import Kept, Shelf
from overtone.server.ui.layout import Changes, Layout
from overtone.server.ui.run import Run
from overtone.server.ui.scratch import scratch_folder
from overtone.server.ui.sessions import Session, Sessions
from overtone.server.ui.texts import Language, language_of, text
from overtone.server.ui.view import View
from overtone.system.memory import parse_size

MOST_FILES = 100
"""Of one click; more are for jobs."""

MOST_AT_WORK = 32
"""Pages that may have work under way at once: fewer than Gradio has places, so that the others still react."""

_LOOK_S = 0.5
"""Seconds between two looks at what is under way."""

_ALIVE_S = 5.0
"""Seconds after which something is sent even where nothing changed: so it is noticed that a browser has gone."""


class Page:
    """The page of a server. `blocks` is what Gradio serves."""

    def __init__(self, server: Server) -> None:
        settings = server.settings
        self._server = server
        self.door = Door(server.keyring)
        self.sessions = Sessions(Shelf(server.spool))
        self._most_files = min(MOST_FILES, settings.max_files)
        limits = Limits(parse_size(settings.max_upload), settings.max_audio_s, self._most_files)
        with scratch_folder():
            self._layout = layout = Layout(limits, writes=settings.transcriber is not None)
            self._view = View(server, self.sessions, layout, limits)
            self.blocks = layout.blocks
            with self.blocks:
                self._wire(layout)
            self.blocks.queue(default_concurrency_limit=None, api_open=False)

    def _wire(self, on: Layout) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        all_texts = [on.heading, *on.texts("en", Options()), on.files, on.panel, on.verdict, on.details]
        # What is pressed while an answer is under way is not lost: the last of it counts.
        again: dict[str, Any] = {**quiet, "trigger_mode": "always_last"}
        client: dict[str, Any] = {"fn": None, "api_visibility": "private"}

        opened = self.blocks.load(**client, outputs=on.facts, js="() => overtone.facts()")
        shown = [*dict.fromkeys([on.ticket, *all_texts, *on.options.values()])]
        opened = opened.then(self.opened, on.facts, shown, **quiet)
        opened.then(**client, inputs=on.language, js="(language) => overtone.ready(language)")
        self.blocks.unload(self.left)

        on.language.input(self.spoken, [on.ticket, on.language], all_texts, **again).then(
            **client, inputs=on.language, js="(language) => overtone.remember(language)"
        )
        on.task.input(self.asked, on.task, on.tasks, **again)
        on.cut.input(on.cutting, on.cut, [on.max_segment, on.windows], **again)
        started = on.analyse.click(
            **client, inputs=on.ticket, outputs=on.facts, js="(ticket) => overtone.start(ticket)"
        )
        started.then(
            self.analysed,
            {on.ticket, on.facts, on.task, *on.options.values(), *on.spoken_options.values()},
            on.results,
            concurrency_limit=MOST_AT_WORK,
            **quiet,
        )
        on.stop.click(self.stopped, on.ticket, None, js="(ticket) => { overtone.stop(); return ticket; }", **quiet)
        # An event that waits for its turn would come without what was chosen.
        on.files.select(self.chosen, on.ticket, on.results, **quiet, trigger_mode="multiple")

    # Called by Gradio.

    async def opened(self, facts: str, request: gr.Request) -> Changes:
        """A browser has loaded the page."""
        on, user = self._layout, request.username
        client = client_name(request.client and request.client.host)
        language = _language(request)
        told = Facts.of(facts)
        try:
            self.door.owner(user)
        except OvertoneError as error:
            return self._view.sorry(error, language)
        session = self.sessions.open(user, request.session_hash or "", client)
        session.language = told.language or language
        session.dark, session.touched = told.dark, told.touched
        options = {"granularity": "segment", "segment": "vad", "channels": "mix"}
        changes = self._view.texts(session) | {
            on.ticket: session.ticket,
            on.files: markup.note(text(session.language, "nothing")),
        }
        changes[on.language]["value"] = session.language
        for name, value in options.items():
            changes[on.options[name]]["value"] = value
        return changes

    async def spoken(self, ticket: str, language: str) -> Changes:
        """Another language was chosen."""
        chosen: Language = "zh" if language == "zh" else "en"
        try:
            session = self._session(ticket)
        except OvertoneError as error:
            return self._layout.texts(chosen, Options()) | self._view.sorry(error, chosen)
        session.language = chosen
        shown = {} if session.shown is None else await self._view.panel(session)
        return self._view.texts(session) | self._view.files(session) | shown

    async def asked(self, task: str) -> Changes:
        """Another task was chosen."""
        return self._layout.asking(task, self._view.takes())

    async def analysed(self, given: Mapping[Any, Any], request: gr.Request) -> AsyncIterator[Changes]:
        """Analyse was pressed: the table as it changes, until nothing is under way any more."""
        on, language = self._layout, _language(request)
        try:
            session = self._session(given[on.ticket])
            told = Facts.of(given[on.facts])
            names = told.names[: self._most_files]
            language = session.language
            session.dark, session.touched = told.dark, told.touched
            task: Task = "transcribe" if given[on.task] == "transcribe" else "emotion"
            options = on.options if task == "emotion" else on.spoken_options
            call = self._call(session, task, {name: given[part] for name, part in options.items()})
            if not names:
                yield {on.files: markup.note(text(language, "none_chosen"), "bad")}
                return
            await self._begin(session, names, call)
        except OvertoneError as error:
            yield self._view.sorry(error, language)
            return
        async for changes in self._progress(session):
            yield changes

    async def chosen(self, ticket: str, event: gr.EventData, request: gr.Request) -> Changes:
        """A result was chosen in the table."""
        try:
            session = self._session(ticket)
        except OvertoneError as error:
            return self._view.sorry(error, _language(request))
        session.shown = wanted = place_of(event._data)
        panel = await self._view.panel(session)
        # Where another was chosen meanwhile, that one's answer shows it.
        return self._view.files(session) | (panel if session.shown == wanted else {})

    async def stopped(self, ticket: str) -> None:
        """Stop was pressed."""
        with suppress(OvertoneError):
            self.sessions.stop(self._session(ticket))

    async def left(self, request: gr.Request) -> None:
        """A browser has gone."""
        self.sessions.left(request.session_hash or "")

    # The work.

    async def _begin(self, session: Session, names: Sequence[str], call: InferenceRequest) -> None:
        if session.working is not None:
            session.working.cancel()
            await asyncio.wait([session.working])
        self.sessions.clear(session)
        session.runs += 1
        level = call.detail_level(self._server.host.answering(call.task).options)

        def keep(at: int, results: Sequence[Result]) -> None:
            if session.run is run:
                self.sessions.keep(session, at, Kept.of(names[at], level, results))

        session.run = run = Run(self._server, session.runs, names, call, keep)
        session.working = asyncio.create_task(run.go())

    async def _progress(self, session: Session) -> AsyncIterator[Changes]:
        on, run, working = self._layout, session.run, session.working
        assert run is not None
        assert working is not None
        buttons = {on.analyse: gr.update(interactive=False), on.stop: gr.update(visible=True)}
        changes = buttons | {on.panel: gr.update(visible=False)}
        last, sent = "", 0.0
        try:
            while session.run is run:
                over = working.done()
                if session.shown is None:
                    changes |= await self._first(session, run)
                table = self._view.table(session, run)
                if table != last or changes or time.monotonic() - sent > _ALIVE_S:
                    yield {on.files: table} | changes
                    last, sent, changes = table, time.monotonic(), {}
                if over:
                    break
                await run.changed(_LOOK_S)
            if session.run is run or session.run is None:
                yield {on.analyse: gr.update(interactive=True), on.stop: gr.update(visible=False)}
        finally:
            working.cancel()

    async def _first(self, session: Session, run: Run) -> Changes:
        """The first result is shown, unless another was chosen."""
        at = next((at for at, row in enumerate(run.rows) if row.state == "done"), None)
        if at is None:
            return {}
        session.shown = (at, 0)
        return await self._view.panel(session)

    def _call(self, session: Session, task: Task, values: Mapping[str, Any]) -> InferenceRequest:
        """What was asked for. RefusedError, and UsageError for what cannot be."""
        base = self._server.service.check_open(task).options
        options = options_of(options_given(values), base)
        if task == "transcribe":
            check_wish(self._server.host.transcriber, **options)
        return InferenceRequest(options, False, self.door.owner(session.user), task, client=session.client)

    def _session(self, ticket: Any) -> Session:
        """The page with that ticket. RefusedError: expired, or unauthorized where its key is withdrawn."""
        session = self.sessions.get(str(ticket))
        self.door.owner(session.user)
        return session


def _language(request: gr.Request) -> Language:
    return language_of(request.headers.get("accept-language", ""))
