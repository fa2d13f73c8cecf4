"""Server-sent events: their headers, their text, and the signs of life between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "text/event-stream"

HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Of every answer that is events: no proxy is to keep them, or to wait for more."""

ALIVE_S = 15.0
"""Seconds after which a comment is sent, so that proxies do not take a quiet stream for a dead one."""

ALIVE = ": still here\n\n"


def event(data: Mapping[str, Any], name: str | None = None) -> str:
    """One event, its data as JSON."""
    text = f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
    return text if name is None else f"event: {name}\n{text}"
