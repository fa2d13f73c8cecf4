"""The web page of the service, made with Gradio: the extra `[ui]`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from overtone.errors import Code, UsageError
from overtone.server.descriptors import MOST_CONNECTIONS
from overtone.wording import param

if TYPE_CHECKING:
    from fastapi import FastAPI

    from overtone.server.state import Server

__all__ = ["mount"]


def mount(app: FastAPI, server: Server, connections: int = MOST_CONNECTIONS) -> FastAPI:
    """Put the page at `/` of an app that has all its other routes already; gives the same app back.

    connections: how many may be open, of which pages have half at the most. UsageError where Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UsageError(
            f"the page needs Gradio: pip install 'overtone[ui]', or {param('page', False)}.", code=Code.MISSING_EXTRA
        )
    from overtone.server.ui.mounting import mounted

    return mounted(app, server, connections)
