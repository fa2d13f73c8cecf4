"""What of the page's framework is let through."""

from __future__ import annotations

import pytest

from overtone.server.ui.gate import let_through


@pytest.mark.parametrize(
    ("method", "path", "through"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("GET", "/assets/index.js", True),
        ("GET", "/gradio_api/queue/data", True),
        ("POST", "/gradio_api/queue/join", True),
        ("POST", "/login", True),
        ("POST", "/", False),
        ("GET", "/v1/nothing", False),
        ("GET", "/gradio_api/file=/etc/passwd", False),
        ("GET", "/gradio_api/proxy=https://a.hf.space", False),
        ("POST", "/gradio_api/upload", False),
        ("POST", "/gradio_api/component_server", False),
        ("POST", "/gradio_api/run/predict", False),
        ("GET", "/gradio_api/runs", False),
        ("POST", "/gradio_api/vibe-code", False),
        ("GET", "/monitoring", False),
        ("GET", "/custom_component/a/b/c/d.js", False),
        ("DELETE", "/", False),
    ],
)
def test_only_what_the_page_needs_goes_through(method: str, path: str, through: bool) -> None:
    assert let_through({"type": "http", "method": method, "path": path}) is through


def test_the_page_is_no_place_for_websockets() -> None:
    assert not let_through({"type": "websocket", "path": "/"})
