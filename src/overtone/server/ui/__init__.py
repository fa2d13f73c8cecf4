"""The web page of the service, made with Gradio: the extra `[ui]`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from overtone.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from overtone.server.state import Server

__all__ = ["mount"]


def mount(app: FastAPI, server: Server) -> FastAPI:
    """Put the page at `/` of an app that has all its other routes already; gives the same app back.

    UsageError where Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the page needs Gradio: pip install 'overtone[ui]', or --no-page.", code="missing_extra")
    from overtone.server.ui.mounting import mounted

    return mounted(app, server)
