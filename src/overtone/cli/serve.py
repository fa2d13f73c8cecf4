"""`overtone serve`: the service."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from typing import Any

from overtone.cli import console
from overtone.cli.options import explicit_options, resolve_options, with_settings
from overtone.errors import Code, UsageError
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.server.observability import logs
from overtone.server.settings import HELP, Settings

_NEEDED = ("fastapi", "uvicorn", "websockets", "prometheus_client", "python_multipart", "redis")


@with_settings(Settings, HELP, "Service")
def serve(**options: Any) -> int:
    """Serve over HTTP and WebSocket, with a web page: many users, one model, inside the memory it is given."""
    _log_as(options["log"])
    names = [field.name for field in dataclasses.fields(Settings)]
    given = explicit_options({name: options.pop(name) for name in names})
    settings = Settings(**{**loading.environment_of(loading.SERVICE, Settings), **given})
    _log_as(settings.log)
    made = resolve_options(Options, options)
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"the service needs {', '.join(missing)}: pip install 'overtone[server]'", code=Code.MISSING_EXTRA
        )
    if settings.page and given.get("page") and importlib.util.find_spec("gradio") is None:
        raise UsageError("--page needs gradio: pip install 'overtone[ui]'", code=Code.MISSING_EXTRA)
    from overtone.engine.runtime import ReservedCapacity, decoder_count
    from overtone.server.run import serve as run
    from overtone.server.state import load_models

    decoders = decoder_count(made, ReservedCapacity(short=1)) + 2  # one more for headers and one for jobs
    run(settings, load_models(made, settings), decoders=decoders)
    return 0


def _log_as(form: str | None) -> None:
    """Log from here on, in the form that is asked for. Where that is JSON, errors are lines of the log, too."""
    as_json = None if form in (None, "auto") else form == "json"
    logs.configure(as_json, "info")
    logs.capture_exceptions()
    console.speak_through(logging.getLogger("overtone") if logs.is_json(as_json) else None)
