"""The page into the app: Gradio with everything off that is not needed, behind a gate, ending when the service ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Any

import gradio
from fastapi import FastAPI, Request
from starlette.types import Scope

from overtone.server.state import Server
from overtone.server.ui.gate import Bounded, Gate
from overtone.server.ui.layout import asset, theme
from overtone.server.ui.page import Page
from overtone.server.ui.page_streams import PageStreams
from overtone.server.ui.routes import routes
from overtone.server.ui.scratch import scratch_folder
from overtone.server.ui.texts import text

_SWEEP_S = 20.0
"""Seconds between two looks for pages that nobody uses any more."""

_LOOK_S = 0.2

_IDLE_S = 0.05
"""Seconds between two looks of Gradio's queue for work, which it does without end. Its own is a thousandth."""


def mounted(app: FastAPI, server: Server, connections: int) -> FastAPI:
    """See `overtone.server.ui.mount`."""
    page = Page(server)
    app.include_router(routes(server, page.sessions, page.door))
    door = page.door.open if page.door.locked else None
    with scratch_folder():
        gradio.mount_gradio_app(
            app,
            page.blocks,
            path="/",
            app_kwargs={"lifespan": lambda inner: _life(inner, page, server)},
            auth=door,
            auth_message=f"{text('en', 'sign_in')}<br>{text('zh', 'sign_in')}" if door else None,
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            enable_monitoring=False,
            max_file_size=1,
            favicon_path=str(resources.files(__package__) / "assets" / "favicon.svg"),
            theme=theme(),
            css=asset("page.css"),
            head=f"<script>{asset('page.js')}</script>",
        )
    inner: Any = app.router.routes.pop().app  # type: ignore[attr-defined]
    inner.uploaded_file_dir = str(server.spool.path)
    streams = PageStreams(inner, page.sessions, page.door, partial(_user_of, inner), most=connections // 2)
    app.router.routes.append(Gate("/", app=Bounded(streams), name="page"))
    return app


def _user_of(inner: Any, scope: Scope) -> str | None:
    """The user who is signed in, by the cookie that Gradio set; None without one."""
    cookies = Request(scope).cookies
    named = (cookies.get(f"access-token-{kind}{inner.cookie_id}") for kind in ("", "unsecure-"))
    user: str | None = inner.tokens.get(next(filter(None, named), None))
    return user


@asynccontextmanager
async def _life(inner: Any, page: Page, server: Server) -> AsyncIterator[None]:
    """What goes on beside the page as long as it is there."""
    page.blocks.app = inner  # so that closing the one ends what the other holds open
    queue: Any = page.blocks._queue
    queue.sleep_when_free = queue.progress_update_sleep_when_free = _IDLE_S
    queue.ANALYTICS_MAX_EVENTS = 0  # or it would count everything that is clicked, for nobody
    reserve = [asyncio.create_task(_sweep(page)), asyncio.create_task(_end(page, server))]
    try:
        yield
    finally:
        working = page.sessions.working
        page.sessions.close_all()
        page.blocks.close(verbose=False)
        for task in reserve:
            task.cancel()
        await asyncio.gather(*reserve, *working, return_exceptions=True)


async def _sweep(page: Page) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        page.sessions.sweep()


async def _end(page: Page, server: Server) -> None:
    """Let go of browsers once the service is to end and nothing is under way: they would hold it up."""
    await server.service.draining.wait()
    while page.sessions.working:
        await asyncio.sleep(_LOOK_S)
    await asyncio.sleep(1.0)  # for the last answers to be taken
    page.blocks.close(verbose=False)
