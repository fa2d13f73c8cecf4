"""Logs of the service: one line for each event, on standard error, as JSON or as plain text.

A logger of Overtone takes fields through `extra`: `LOG.info("answered", extra={"status": 200, "ms": 12.5})`. Fields of
other loggers are left out: their content is unknown here. Neither a header nor the path of an upload belongs into a
field or a message.
"""

from __future__ import annotations

import json
import logging
import logging.config
import math
import re
import secrets
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from overtone.errors import UsageError
from overtone.system.terminal_text import escape_control_chars

LEVELS: Final = ("debug", "info", "warning", "error")

_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_MOST_CHARACTERS: Final = 4096
_BARE: Final = re.compile(r"[^\s\"'=\\]+")

_LOG = logging.getLogger("overtone")

_request_id: ContextVar[str | None] = ContextVar("overtone_request_id", default=None)


def request_id() -> str | None:
    """The id of the request that this task or thread works for; None outside of any."""
    return _request_id.get()


def set_request_id(value: str | None) -> None:
    """Mark this task, and those it starts, as working for that request from here on."""
    _request_id.set(value)


def new_request_id(given: str | None) -> str:
    """The id that a client gave, if it is 1 to 64 characters of `A-Za-z0-9._-`; else a new one."""
    if given is not None and _GIVEN_ID.fullmatch(given):
        return given
    return secrets.token_hex(8)


def configure(json: bool | None, level: str) -> None:
    """Configure logging of this process. With uvicorn: `log_config=None`.

    `json` None means plain text on a terminal and JSON elsewhere. UsageError if there is no such level.
    """
    logging.config.dictConfig(log_config(json, level))
    logging.captureWarnings(True)


def is_json(json: bool | None) -> bool:
    """True if lines are JSON, with that argument of `configure`."""
    return not sys.stderr.isatty() if json is None else json


def capture_exceptions() -> None:
    """Log exceptions that nothing caught, of any thread, instead of printing them."""

    def log(what: str, error: BaseException | None) -> None:
        _LOG.critical(what, exc_info=error)

    sys.excepthook = lambda kind, error, trace: log("nothing caught an exception", error)
    threading.excepthook = lambda given: log("an exception ended a thread", given.exc_value)
    sys.unraisablehook = lambda given: log("an exception could not be raised", given.exc_value)


def log_config(json: bool | None, level: str) -> dict[str, Any]:
    """The configuration for `logging.config.dictConfig` and for uvicorn's `log_config`; arguments of `configure`."""
    level = level.lower()
    if level not in LEVELS:
        raise UsageError(f"{level!r} is no level to log at; write one of {', '.join(LEVELS)}.")
    form = JsonFormatter if is_json(json) else TextFormatter
    named = level.upper()
    # At their debug level, uvicorn and others write down what clients send: every header, keys among them.
    quieter = "INFO" if level == "debug" else named
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": form, "tracebacks": level == "debug"}},
        "filters": {"told": {"()": _LoggedElsewhere}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "root": {"level": "ERROR" if level == "error" else "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "overtone": {"level": named},
            "uvicorn": {"level": quieter, "handlers": [], "propagate": True},
            "uvicorn.error": {"level": quieter, "handlers": [], "propagate": True, "filters": ["told"]},
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }


class JsonFormatter(logging.Formatter):
    """Formatter to one JSON object on one line, ASCII, so that no text of a user's can end a line or start another."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if (current := request_id()) is not None:
            line["request_id"] = current
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if (error := _error(record)) is not None:
            line["error"] = _fault(error)
            if self._tracebacks:
                line["traceback"] = _traceback(error)
        return json.dumps(line, allow_nan=False)


class TextFormatter(logging.Formatter):
    """Formatter to one line for a person: time, level, logger, message, fields. Control characters are escaped."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; tracebacks are lines below it, each marked as a part of it."""
        fields = {**_fields(record), **({} if (current := request_id()) is None else {"request_id": current})}
        if (error := _error(record)) is not None:
            fields["error"] = " ".join(map(str, _fault(error).values()))
        message = escape_control_chars(_message(record))
        words = (_time(record), f"{record.levelname.lower():<7}", record.name, message)
        line = "  ".join(
            (*words, *(f"{escape_control_chars(name)}={_worded(value)}" for name, value in fields.items()))
        )
        if error is None or not self._tracebacks:
            return line
        return "\n".join((line, *(f"  | {escape_control_chars(text)}" for text in _traceback(error).splitlines())))


class _LoggedElsewhere(logging.Filter):
    """Filter of uvicorn's lines on WebSockets: path and query as they came, which the service's own line says
    without them, and a complaint about every one that was refused in HTTP's own words.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        said = str(record.msg)
        return not ('"WebSocket ' in said or said.startswith(("connection ", "ASGI callable returned without compl")))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    return _shortened(record.getMessage().strip())


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if record.name.split(".")[0] != "overtone":
        return {}
    return {name: _plain(value) for name, value in record.__dict__.items() if name not in _STANDARD}


def _plain(value: object) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return _shortened(str(value))


def _worded(value: Any) -> str:
    """A value that ends where the next field begins."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return escape_control_chars(value)
    return escape_control_chars(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _fault(error: BaseException) -> dict[str, str | int]:
    """Error and its place, without the way there."""
    # The system's errors end with the path of a file, which may be somebody's upload.
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    fault: dict[str, str | int] = {"type": type(error).__name__, "message": _shortened(said)}
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        fault |= {"file": Path(frames[-1].filename).name, "line": frames[-1].lineno or 0}
    return fault


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
