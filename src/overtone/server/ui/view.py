"""What is shown of a session: texts, the table of its files, and the result that was chosen."""

from __future__ import annotations

import asyncio
import json
import time

import gradio as gr
from gradio.components.plot import PlotData

from overtone.errors import Code, OvertoneError
from overtone.options.emotion import Options
from overtone.output.records import expect_type
from overtone.results import EmotionResult, Transcript
from overtone.server.inference.models import supported_options
from overtone.server.state import Server
from overtone.server.ui import markup, spoken
from overtone.server.ui.errors import Limits, explained
from overtone.server.ui.kept import Kept
from overtone.server.ui.layout import Changes, Layout
from overtone.server.ui.picture import Look, figure
from overtone.server.ui.routes import FOLDER
from overtone.server.ui.run import Run
from overtone.server.ui.sessions import Session, Sessions
from overtone.server.ui.texts import Language, text


class View:
    """Makes of a session what is to change on its page."""

    def __init__(self, server: Server, sessions: Sessions, layout: Layout, limits: Limits) -> None:
        self._server, self._sessions, self._layout, self._limits = server, sessions, layout, limits

    def takes(self) -> frozenset[str]:
        """Which wishes of a transcription the recognizer can do something with."""
        last = self._server.host.last
        return frozenset() if last is None or last.transcriber is None else supported_options(last.transcriber)

    def texts(self, session: Session) -> Changes:
        """Every text, in the language of the session."""
        on, language = self._layout, session.language
        last = self._server.host.last
        served = text(language, "starting")
        if last is not None:
            runtime = last.emotion.runtime
            served = text(
                language,
                "served",
                model=runtime.model.name,
                precision=runtime.engine.precision,
                device=runtime.engine.device,
            )
        base = Options() if last is None else last.emotion.options
        return {on.heading: markup.heading(language, served, session.user)} | on.texts(language, base, self.takes())

    def files(self, session: Session) -> Changes:
        """The table of its files, or that there are none yet."""
        if session.run is None:
            return {self._layout.files: markup.note(text(session.language, "nothing"))}
        return {self._layout.files: self.table(session, session.run)}

    def table(self, session: Session, run: Run) -> str:
        """The table of the files of a run, as HTML."""
        service = self._server.service
        for row in run.rows:
            if row.state == "running" and not row.due:
                row.due = time.monotonic() + service.wait_s
        wait = service.admission.queued_s, service.wait_s
        return markup.files(run, markup.Around(session.language, self._limits, _base(session), wait, session.shown))

    async def panel(self, session: Session) -> Changes:
        """The result that is to be shown."""
        on = self._layout
        at, place = session.shown or (0, 0)
        kept = self._sessions.kept(session, at)
        if kept is None or not 0 <= place < len(kept.results):
            gone = markup.note(text(session.language, "gone"), "bad")
            return {on.panel: gr.update(visible=True), on.verdict: gone, on.picture: None, on.details: ""}
        result, language = kept.results[place], session.language
        if isinstance(result, Transcript):
            return {
                on.panel: gr.update(visible=True),
                on.verdict: spoken.heading(kept, result, language),
                on.picture: gr.update(value=None, visible=False),
                on.details: await asyncio.to_thread(
                    spoken.transcript, kept, result, f"{_base(session)}/{at}", language
                ),
            }
        result, look = expect_type(result, EmotionResult), Look(language, session.dark, session.touched)
        drawn = await asyncio.to_thread(_drawn, kept, result, look)
        return {
            on.panel: gr.update(visible=True),
            on.verdict: markup.verdict(kept, result, language),
            on.picture: gr.update(
                value=PlotData(type="plotly", plot=drawn), label=text(language, "picture"), visible=True
            ),
            on.details: markup.details(kept, result, f"{_base(session)}/{at}", language),
        }

    def sorry(self, error: OvertoneError, language: Language) -> Changes:
        """What the page says where nothing can be done."""
        leave = text(language, "sign_out", name="") if error.code == Code.UNAUTHORIZED else ""
        told = explained(error, "", self._limits, language)
        return {self._layout.files: markup.note(told, "bad", leave=leave)}


def _drawn(kept: Kept, result: EmotionResult, look: Look) -> str:
    with kept.lock:
        return json.dumps(figure(result, look, whole=kept.level == "utterance"), allow_nan=False)


def _base(session: Session) -> str:
    return f"{FOLDER}/{session.ticket}/results"
