"""The process that serves, from the first line of its log to the last."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

from helpers.server.page import needs_gradio
from helpers.server.serving_process import MEMORY, ServiceProcess
from helpers.server.sounds import clip
from overtone.system.memory import parse_size


def test_the_log_is_json_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path) as service:
        assert service.post("/v1/emotion", clip(1)).status_code == 200
        with socket.create_connection(service.address) as connection:
            connection.sendall(b"GET / HTTP/1.1\nHost: a\n\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert service.stop() == 0
        lines = [json.loads(line) for line in service.log().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (ready,) = [line for line in lines if line["message"].startswith("ready")]
    assert (ready["model"], ready["precision"], ready["device"]) == ("tiny", "fp32", "cpu")
    assert (ready["memory"], ready["address"], ready["page"]) == (parse_size(MEMORY), service.url, None)
    answered, refused = [line for line in lines if line["logger"] == "overtone.server.requests"][-2:]
    assert lines.index(ready) < lines.index(answered)
    assert (answered["route"], answered["status"]) == ("/v1/emotion", 200)
    assert (refused["message"], refused["status"], refused["code"]) == ("refused", 400, "bad_request")
    assert lines[-1]["message"] == "ended"


def test_open_pages_of_strangers_leave_places_for_others(tmp_path: Path) -> None:
    """More of them than the process has connections, and as many that say nothing."""
    needs_gradio()
    with ServiceProcess(tmp_path, "--page", descriptors=420) as service, contextlib.ExitStack() as open:
        beat = b"GET /gradio_api/heartbeat/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for at in range(150):
            for said in (b"", beat % at):
                connection = open.enter_context(socket.create_connection(service.address))
                connection.sendall(said)
        for path in ("/healthz", "/readyz", "/metrics", "/v1/models"):
            assert service.get(path).status_code == 200
        assert service.post("/v1/emotion", clip(2)).status_code == 200
        assert "Too many open files" not in service.log()
