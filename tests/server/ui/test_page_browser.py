"""The page in a real browser: Chromium, without a window, through Playwright."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.clips import EXAMPLES
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone.server.auth import add_key
from overtone.server.ui.sessions import LEFT_S, Session, Sessions

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'overtone[ui]'")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no chromium here to show the page with", allow_module_level=True)

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip

CALL, SAD = EXAMPLES / "call.mp3", EXAMPLES / "sad.wav"

MOST_S = 30
"""Nothing here takes so long."""

expect: Any = playwright.expect
expect.set_options(timeout=1000 * MOST_S)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service"), page=True) as running:
        yield running
    left = [thread.name for thread in threading.enumerate() if "AnyIO" in thread.name or "service" in thread.name]
    assert left == [], "what Gradio started has ended with the service"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visit(chromium: Any, url: str, **how: Any) -> Iterator[Any]:
    """A page in a browser of its own. Nothing may leave loopback, and nothing may go wrong in its scripts."""
    context = chromium.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **how})
    context.set_default_timeout(1000 * MOST_S)
    requests: list[str] = []
    faults: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    page = context.new_page()
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert requests
    assert [request for request in requests if not request.startswith((url, "blob:", "data:"))] == []
    assert faults == []


@contextmanager
def opened(chromium: Any, service: Running, **how: Any) -> Iterator[Any]:
    """The page, ready to be used."""
    with visit(chromium, service.url, **how) as page:
        ready(page)
        yield page


def ready(page: Any) -> None:
    page.wait_for_function("document.documentElement.classList.contains('ot-ready')")


def analyse(page: Any, *files: Path) -> None:
    page.set_input_files("#ot-files", files)
    page.click("#ot-analyse")
    finished(page)


def finished(page: Any) -> None:
    expect(page.locator("#ot-picture .main-svg").first).to_be_visible()
    expect(page.locator("#ot-analyse")).to_be_enabled()


def hover(page: Any, seconds: float, of: float) -> None:
    """Point at a time of the picture."""
    box = page.locator("#ot-picture .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * seconds / of, box["y"] + box["height"] / 3)


def names(page: Any) -> list[str]:
    """The emotions in the picture's legend."""
    found: list[str] = page.locator("#ot-picture .legendtext").all_text_contents()
    return found


def without_timings(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "timings"}


def test_a_call_is_uploaded_seen_pointed_at_translated_and_downloaded(chromium: Any, service: Running) -> None:
    with opened(chromium, service, accept_downloads=True) as page:
        expect(page.locator("#ot-table")).to_contain_text("Choose files or record yourself")
        analyse(page, CALL)
        expect(page.locator("#ot-table")).to_contain_text("1 of 1 done")
        assert names(page) == ["Angry", "Bored", "Happy", "Neutral", "Sad", "Silence"]
        hover(page, 19.0, 49.85)
        expect(page.locator("#ot-picture .hoverlayer")).to_contain_text(re.compile("0:17.2 – 0:20.6.*Angry.*96%.*Sad"))

        page.locator("#ot-language label", has_text="中文").click()
        expect(page.locator("#ot-analyse")).to_have_text("分析")
        expect(page.locator("#ot-table")).to_contain_text("已完成 1/1")
        expect(page.locator("#ot-picture .legendtext").first).to_have_text("生气")
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        page.reload()
        ready(page)
        expect(page.locator("#ot-analyse")).to_have_text("分析")
        analyse(page, CALL)

        with page.expect_download() as download:
            page.locator("#ot-panel a", has_text="JSON").click()
        assert download.value.suggested_filename == "call.json"
        record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    answer = service.http.post("/v1/emotion", files={"file": ("call.mp3", CALL.read_bytes())}).json()
    assert without_timings(record) == without_timings(answer)
    assert service.server.spool.held_bytes == 0


def test_a_broken_file_stands_beside_good_ones(chromium: Any, service: Running, tmp_path: Path) -> None:
    broken = tmp_path / "<b>broken.wav"
    broken.write_bytes(b"this is no audio" * 99)
    with opened(chromium, service) as page:
        page.locator("#ot-granularity label", has_text="Every 20 ms").click()
        analyse(page, CALL, broken, SAD)
        table = page.locator("#ot-table")
        expect(table).to_contain_text("2 of 3 done, 1 failed")
        expect(table.locator("tr", has_text="<b>broken.wav")).to_contain_text("It is no audio")
        for name in ("sad.wav", "call.mp3"):
            table.get_by_role("button", name=f"Show {name}").click()
            expect(page.locator("#ot-panel h2")).to_have_text(name)
        assert page.locator("#ot-picture .scatterlayer .trace").count() > 5, "curves of frames"
        expect(table.locator("a", has_text="SRT (zip)")).to_be_visible()
        page.get_by_role("button", name="Remove call.mp3").click()
        expect(page.locator(".ot-chosen li")).to_have_count(2)


def test_the_last_of_quick_choices_is_shown(chromium: Any, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from overtone.server.ui.view import View

    inner = View.panel

    async def slow(view: Any, session: Session) -> dict[Any, Any]:
        await asyncio.sleep(0.5)  # more than it takes to click again
        return await inner(view, session)

    with opened(chromium, service) as page:
        analyse(page, CALL, SAD)
        expect(page.locator("#ot-table")).to_contain_text("2 of 2 done")
        monkeypatch.setattr(View, "panel", slow)
        for name in ("sad.wav", "call.mp3", "sad.wav", "call.mp3"):
            page.locator("#ot-table").get_by_role("button", name=f"Show {name}").click()
        expect(page.locator("#ot-panel h2")).to_have_text("call.mp3")
        page.wait_for_timeout(1500)  # and nothing comes after it
        expect(page.locator("#ot-panel h2")).to_have_text("call.mp3")


def test_chinese_is_spoken_where_the_browser_asks_for_it(chromium: Any, service: Running) -> None:
    with opened(chromium, service, locale="zh-CN") as page:
        expect(page.locator("#ot-table")).to_contain_text("请选择文件或录音")
        page.click("#ot-analyse")
        expect(page.locator("#ot-table")).to_contain_text("请先选择文件或录音")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_by_day_and_by_night(chromium: Any, service: Running, dark: bool) -> None:
    narrow = {"viewport": {"width": 400, "height": 800}, "has_touch": True, "is_mobile": True}
    with opened(chromium, service, **narrow, color_scheme="dark" if dark else "light") as page:
        analyse(page, SAD)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        ink = page.locator("#ot-picture .js-fill").first.evaluate("element => getComputedStyle(element).fill")
        assert ink == ("rgb(230, 233, 239)" if dark else "rgb(51, 55, 61)")


def test_speech_is_recorded(chromium: Any, service: Running) -> None:
    with opened(chromium, service, permissions=["microphone"]) as page:
        page.get_by_role("tab", name="Microphone").click()
        page.click("#ot-record")
        expect(page.locator("#ot-clock")).to_have_text("0:02")
        page.click("#ot-record")
        expect(page.locator(".ot-chosen li")).to_contain_text("Recording")
        page.click("#ot-analyse")
        finished(page)
        expect(page.locator("#ot-table")).to_contain_text("1 of 1 done")


def test_what_goes_on_can_be_stopped(chromium: Any, service: Running, tmp_path: Path) -> None:
    files = []
    for at in range(40):
        files.append(tmp_path / f"{at}.mp3")
        files[-1].write_bytes(CALL.read_bytes())
    with opened(chromium, service) as page:
        page.set_input_files("#ot-files", files)
        page.click("#ot-analyse")
        page.click("#ot-stop")
        expect(page.locator("#ot-analyse")).to_be_enabled()
        expect(page.locator("#ot-table")).to_contain_text("Stopped")
        assert service.do(lambda: service.server.service.admission.queued_s) < 5 * 50


def test_a_browser_that_is_closed_ends_its_work_and_is_soon_forgotten(chromium: Any, service: Running) -> None:
    gc.unfreeze()  # or it would not tell of what was there before
    pages = [found for found in gc.get_objects() if type(found) is Sessions]
    gc.freeze()
    (sessions,) = [found for found in pages if found.shelf._spool is service.server.spool]
    with opened(chromium, service) as page:
        page.route("**/page/**", lambda route: None)  # uploads that never arrive
        page.set_input_files("#ot-files", [CALL])
        page.click("#ot-analyse")
        expect(page.locator("#ot-table")).to_contain_text("Uploading")
        (working,) = service.do(lambda: sessions.working)
        newest = service.do(lambda: list(sessions._open.values())[-1])
        assert newest.ends - time.monotonic() > LEFT_S
    until(lambda: working.done() and newest.ends - time.monotonic() <= LEFT_S, "it is noticed", MOST_S)
    assert working.cancelled()


def test_where_there_are_keys_a_name_and_its_key_are_asked_for(chromium: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "anna")
    with serving(tmp_path, page=True, keys=str(keys)) as service, visit(chromium, service.url) as page:

        def sign_in(name: str, secret: str) -> None:
            page.locator("input").first.fill(name)
            page.locator("input[type=password]").fill(secret)
            page.get_by_role("button").click()

        expect(page.locator("body")).to_contain_text("Sign in with the name of your key")
        sign_in("bob", key)
        expect(page.locator("body")).to_contain_text("Incorrect")
        sign_in("anna", key)
        ready(page)
        expect(page.locator(".ot-out")).to_have_text("Sign out anna")
        analyse(page, SAD)
        expect(page.locator("#ot-table")).to_contain_text("Sad")
        page.click(".ot-out")
        expect(page.locator("input[type=password]")).to_be_visible()
