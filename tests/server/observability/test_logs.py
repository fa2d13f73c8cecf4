"""Log lines: one event, one line, whatever a user or a client puts into it, and nothing that is not to be there."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import re
import subprocess
import sys

import pytest

from helpers.command import environment
from overtone.errors import InputError, UsageError
from overtone.server.observability import logs
from overtone.server.observability.logs import (
    JsonFormatter,
    TextFormatter,
    log_config,
    new_request_id,
    request_id,
    set_request_id,
)

FORGED = [
    'a\n{"level":"error","message":"forged"}',
    "a\r\nforged",
    "a\x1b[2J\x1b[31mforged",
    "a\u2028forged",
    "a\x85forged",
    "a\u202eforged",
    "a\x00\x7f\x9bforged",
    "a\udcff forged",
]


@pytest.fixture(autouse=True)
def _no_request():
    set_request_id(None)
    yield
    set_request_id(None)


def record(
    message: str = "answered", *args: object, name: str = "overtone.server", **extra: object
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "app.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


def as_json(made: logging.LogRecord, **options: bool) -> dict:
    line = JsonFormatter(**options).format(made)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    return json.loads(line)


def failed(error: Exception) -> logging.LogRecord:
    """A record of an error as `LOG.exception` makes it; a traceback has the line that holds `of_the_caller`."""
    of_the_caller = error
    made = record("it broke")
    try:
        raise of_the_caller
    except type(error) as caught:
        made.exc_info = (type(caught), caught, caught.__traceback__)
    return made


# JSON


def test_a_line_holds_time_level_logger_message_id_and_fields():
    set_request_id("abc-1")
    made = record(
        "answered %s", "well", status=200, route="/v1/emotion", ms=12.5, stages={"run": 0.1}, bytes=7, cached=None
    )
    made.created = 1_700_000_000.25
    assert as_json(made) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "overtone.server",
        "message": "answered well",
        "request_id": "abc-1",
        "status": 200,
        "route": "/v1/emotion",
        "ms": 12.5,
        "stages": {"run": 0.1},
        "bytes": 7,
        "cached": None,
    }


@pytest.mark.parametrize("text", FORGED)
def test_no_text_forges_a_json_line(text):
    line = as_json(record("said %s", text, key=text, nested={text: [text]}))
    assert line["message"] == f"said {text}"
    assert line["key"] == text
    assert line["nested"] == {text: [text]}
    assert line["level"] == "info"


def test_fields_do_not_replace_what_every_line_has():
    set_request_id("mine")
    line = as_json(record(time="never", level="error", logger="other", request_id="forged"))
    assert (line["level"], line["logger"], line["request_id"]) == ("info", "overtone.server", "mine")
    assert line["time"] != "never"


def test_whatever_a_field_is_the_line_is_json():
    line = as_json(record(rate=float("nan"), most=float("inf"), raw=b"\xff", kind=ValueError, many=(1, {"a"})))
    assert line["rate"] == "nan"
    assert line["most"] == "inf"
    assert line["raw"] == "b'\\xff'"
    assert line["many"] == [1, "{'a'}"]


def test_long_texts_are_cut():
    line = as_json(record("x" * 100_000, name_given="y" * 100_000))
    assert len(line["message"]) == len(line["name_given"]) == 4096


def test_fields_of_other_loggers_are_left_out():
    line = as_json(record("connected", name="somebody.else", headers={"authorization": "Bearer secret"}))
    assert set(line) == {"time", "level", "logger", "message"}


# Plain text


def test_plain_text_is_one_readable_line():
    set_request_id("abc-1")
    made = record("answered", status=200, route="/v1/emotion", key="two words", note='a"b=c')
    made.created = 1_700_000_000.25
    assert TextFormatter().format(made) == (
        "2023-11-14T22:13:20.250Z  info     overtone.server  answered  "
        'status=200  route=/v1/emotion  key="two words"  note="a\\"b=c"  request_id=abc-1'
    )


@pytest.mark.parametrize("text", FORGED)
def test_no_text_forges_a_plain_line_or_moves_the_cursor(text):
    line = TextFormatter().format(record("said %s", text, key=text, nested={text: text}))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert line.encode()


# Errors


@pytest.mark.parametrize("form", [JsonFormatter, TextFormatter])
def test_an_error_is_its_type_message_file_and_line(form):
    line = form().format(failed(ValueError("bad\nvalue")))
    assert "of_the_caller" not in line
    assert "Traceback" not in line
    assert len(line.splitlines()) == 1
    assert "ValueError" in line
    assert "test_logs.py" in line
    assert "/" not in line


def test_the_fields_of_an_error():
    error = as_json(failed(InputError("call.mp3: not audio")))["error"]
    assert error == {
        "type": "InputError",
        "message": "call.mp3: not audio",
        "file": "test_logs.py",
        "line": error["line"],
    }
    assert error["line"] > 1


def test_a_system_error_does_not_tell_whose_file_it_was():
    line = json.dumps(as_json(failed(FileNotFoundError(2, "No such file or directory", "/uploads/caller.wav"))))
    assert "No such file" in line
    assert "caller.wav" not in line


def test_tracebacks_are_for_debugging():
    assert "of_the_caller" in as_json(failed(ValueError("bad")), tracebacks=True)["traceback"]
    lines = TextFormatter(tracebacks=True).format(failed(ValueError("bad\nforged"))).splitlines()
    assert len(lines) > 2
    assert all(line.startswith("  | ") for line in lines[1:])


# Request ids


@pytest.mark.parametrize("given", ["a", "A-z_0.9", "x" * 64])
def test_a_clients_request_id_is_kept(given):
    assert new_request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\n", "ä", "a/b", "<script>"])
def test_any_other_is_replaced(given):
    made = new_request_id(given)
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert new_request_id(given) != made


def test_each_task_has_the_id_of_its_own_request():
    async def work(name: str) -> tuple[str | None, str | None, str]:
        set_request_id(name)
        await asyncio.sleep(0)
        in_thread = await asyncio.to_thread(request_id)
        return request_id(), in_thread, as_json(record())["request_id"]

    async def both() -> list[tuple[str | None, str | None, str]]:
        return list(await asyncio.gather(work("one"), work("two")))

    assert asyncio.run(both()) == [("one", "one", "one"), ("two", "two", "two")]
    assert request_id() is None


# The configuration, in a process of its own: it is the process's


def logged(code: str, level: str = "info", form: str = "True") -> list[str]:
    """Lines on standard error of a process that configures itself and runs this code."""
    program = (
        f"import logging\nfrom overtone.server.observability import logs\nlogs.configure({form}, {level!r})\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


SPEAK = """
for name in ("overtone.server", "uvicorn.error", "uvicorn", "somebody.else", "uvicorn.access"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("hello")
"""


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", {"overtone.server": 4, "uvicorn.error": 3, "uvicorn": 3, "somebody.else": 2}),
        ("info", {"overtone.server": 3, "uvicorn.error": 3, "uvicorn": 3, "somebody.else": 2}),
        ("WARNING", {"overtone.server": 2, "uvicorn.error": 2, "uvicorn": 2, "somebody.else": 2}),
        ("error", {"overtone.server": 1, "uvicorn.error": 1, "uvicorn": 1, "somebody.else": 1}),
    ],
)
def test_who_is_heard_at_which_level(level, expected):
    """Libraries are not heard below their warnings, where they write down headers; uvicorn's access log never is."""
    heard: dict[str, int] = {}
    for line in map(json.loads, logged(SPEAK, level)):
        heard[line["logger"]] = heard.get(line["logger"], 0) + 1
    assert heard == expected


def test_warnings_and_errors_of_the_process_are_lines_too():
    code = """
import warnings
warnings.simplefilter("always")
warnings.warn("careful")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("overtone").exception("a fault")
"""
    careful, fault = map(json.loads, logged(code))
    assert (careful["logger"], careful["level"]) == ("py.warnings", "warning")
    assert "careful" in careful["message"]
    assert fault["error"] == {"type": "ZeroDivisionError", "message": "division by zero", "file": "<string>", "line": 9}
    assert "traceback" not in fault


def test_what_nothing_catches_is_a_line_too():
    code = """
import threading
logs.capture_exceptions()
class Broken:
    def __del__(self): raise ValueError("in the end")
Broken()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
try:
    raise RuntimeError("of the main thread")
except RuntimeError:
    import sys
    sys.excepthook(*sys.exc_info())
"""
    lines = [json.loads(line) for line in logged(code)]
    assert [line["error"]["type"] for line in lines] == ["ValueError", "ZeroDivisionError", "RuntimeError"]
    assert {line["level"] for line in lines} == {"critical"}


def test_where_there_is_no_terminal_lines_are_json():
    assert [
        json.loads(line)["message"] for line in logged('logging.getLogger("overtone").info("hi")', form="None")
    ] == ["hi"]
    (line,) = logged('logging.getLogger("overtone").info("hi")', form="False")
    assert line.endswith("info     overtone  hi")


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"'loud' is no level.*debug, info, warning, error"):
        log_config(True, "loud")


def test_uvicorn_logs_through_it_and_tells_no_path_query_or_header():
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("websockets", reason="websockets is not installed")
    code = """
import http.client, threading, time
import uvicorn
from websockets.sync.client import connect

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        raise RuntimeError("broken")

server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=logs.log_config(True, "debug"), lifespan="off"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
connection = http.client.HTTPConnection("127.0.0.1", port)
connection.request("GET", "/secret-path?key=secret-query", headers={"Authorization": "Bearer secret-header"})
assert connection.getresponse().status == 500
connection.close()
url = f"ws://127.0.0.1:{port}/secret-path?key=secret-query"
with connect(url, additional_headers={"Authorization": "Bearer secret-header"}, proxy=None) as socket:
    for _ in socket:
        pass
server.should_exit = True
thread.join()
"""
    lines = logged(code, "debug")
    told = [json.loads(line) for line in lines]
    assert {line["logger"] for line in told} == {"uvicorn.error"}
    (fault,) = [line for line in told if line["level"] == "error"]
    assert fault["message"] == "Exception in ASGI application"
    assert (fault["error"]["type"], fault["error"]["message"]) == ("RuntimeError", "broken")
    assert "secret" not in "".join(lines)


def test_visible_leaves_what_can_be_seen():
    assert logs.escape_control_chars("Grüße 日本 – ok") == "Grüße 日本 – ok"
    assert logs.escape_control_chars("a\tb\x1b") == "a\\tb\\x1b"
