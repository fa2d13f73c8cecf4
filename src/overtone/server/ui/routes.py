"""What the page sends and fetches beside Gradio: uploads, which go where all uploads go, downloads, and its script."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from overtone.errors import RefusedError
from overtone.server.state import Server
from overtone.server.ui.door import Door
from overtone.server.ui.downloads import KINDS, sent
from overtone.server.ui.sessions import Session, Sessions
from overtone.server.uploads import receive

FOLDER = "page"
"""The first part of their addresses."""


def routes(server: Server, sessions: Sessions, door: Door) -> APIRouter:
    """The routes. Who has a page's ticket may use them: it is in nothing but that page."""
    router = APIRouter(prefix=f"/{FOLDER}", include_in_schema=False)

    def session_of(ticket: str) -> Session:
        try:
            session = sessions.get(ticket)
        except RefusedError as error:
            raise RefusedError("there is no such page, or it has expired.", code="unknown") from error
        door.owner(session.user)
        return session

    @router.post("/{ticket}/{number}/{at}")
    async def upload(request: Request, ticket: str, number: int, at: int) -> Response:
        """One file of a run."""
        run = session_of(ticket).run
        if run is None or run.number != number or not run.expects(at):
            raise RefusedError("nobody waits for this file.", code="unknown")
        try:
            server.service.check_open()
            with run.arriving():
                received = await receive(server.spool, request)
        except BaseException as error:
            run.missing(at, error if isinstance(error, Exception) else RefusedError("it was broken off.", code="gone"))
            raise
        first, *others = received.files
        for left in others if run.arrived(at, first) else received.files:
            await asyncio.to_thread(left.remove)
        return Response(status_code=204)

    @router.get("/{ticket}/results/{name}")
    async def results(ticket: str, name: str) -> Response:
        """A download: `3.json` is that of the fourth file, `all.csv` of them all."""
        session = session_of(ticket)
        place, _, kind = name.partition(".")
        number = int(place) if place.isascii() and place.isdecimal() and len(place) < 6 else -1
        one = sessions.kept(session, number)
        kept = list(sessions.all_kept(session)) if place == "all" else [] if one is None else [one]
        if not kept or kind not in KINDS[kept[0].task]:
            raise RefusedError("there is no such result, or it is not kept any more.", code="unknown")
        return await sent(kept, kind, server.spool)

    return router
