"""The page without a browser: what happens when something is touched."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from helpers.clips import EXAMPLES
from helpers.server.loops import run
from helpers.server.page import bars, becomes, needs_gradio
from helpers.server.sounds import clip
from helpers.server.transcribing import recognizer_of
from overtone.options.emotion import Options
from overtone.server.auth import add_key, remove_key
from overtone.server.inference.request import InferenceRequest
from overtone.server.settings import Settings
from overtone.server.state import Server, load_models
from overtone.server.ui.sessions import Session
from overtone.server.uploads import Upload


class Browser:
    """Asks a page as Gradio does, and shows what it gets: the newest value of each component."""

    def __init__(
        self, page: Any, username: str | None = None, language: str = "en", address: str | None = "192.0.2.1"
    ) -> None:
        self.page, self.on = page, page._layout
        self.shown: dict[Any, Any] = {}
        client = None if address is None else SimpleNamespace(host=address)
        headers = {"accept-language": language}
        self.request = SimpleNamespace(username=username, session_hash="browser", headers=headers, client=client)
        self.tables: list[str] = []

    def take(self, changes: dict[Any, Any]) -> None:
        for part, change in changes.items():
            is_update = isinstance(change, dict)
            if not is_update or "value" in change:
                self.shown[part] = change["value"] if is_update else change

    async def open(self, **facts: Any) -> str:
        self.take(await self.page.opened(json.dumps(facts), self.request))
        return str(self.shown.get(self.on.ticket, ""))

    async def analyse(self, *names: str, **options: Any) -> None:
        """Press the button, and take what comes of it."""
        asked = {"granularity": "segment", "segment": "vad", "channels": "mix", **options}
        given = {
            self.on.ticket: self.shown.get(self.on.ticket, ""),
            self.on.facts: json.dumps({"files": names}),
            self.on.task: asked.get("task", "emotion"),
            **{part: asked.get(name) for name, part in (self.on.options | self.on.spoken_options).items()},
        }
        async for changes in self.page.analysed(given, self.request):
            self.take(changes)
            self.tables.append(self.table)

    @property
    def session(self) -> Session:
        found: Session = self.page.sessions.get(self.shown[self.on.ticket])
        return found

    @property
    def table(self) -> str:
        return str(self.shown.get(self.on.files))

    @property
    def figure(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.shown[self.on.picture].plot)
        return found

    async def run(self, files: dict[str, bytes], **options: Any) -> None:
        """Analyse files, which are sent as the script of the page does."""
        sending = self.send(self.session.runs, *files.values())
        await asyncio.gather(self.analyse(*files, **options), sending)

    async def send(self, before: int, *contents: bytes) -> None:
        """Send files once the service wants them."""
        await becomes(lambda: self.session.runs > before and self.session.run is not None)
        run = self.session.run
        assert run is not None
        for at, data in enumerate(contents):
            spool = self.page._server.spool
            path = spool.new_path()
            path.write_bytes(data)
            spool.charge(path, len(data))
            assert run.arrived(at, Upload(path, run.rows[at].name, len(data), "0" * 64, spool.remove))


@asynccontextmanager
async def a_page(folder: Path, **given: Any) -> AsyncIterator[Any]:
    """A page of a service that is not served."""
    from overtone.server.ui.page import Page

    settings = Settings(jobs=str(folder / "jobs"), uploads=str(folder), **given)
    server = Server(settings, load_models(Options(memory="4GiB"), settings))
    page = Page(server)
    try:
        await server.open()
        yield page
    finally:
        working = page.sessions.working
        page.sessions.close_all()
        await asyncio.gather(*working, return_exceptions=True)
        await server.close()
    assert server.spool.held_bytes == 0


CALL, SAD = EXAMPLES / "call.mp3", EXAMPLES / "sad.wav"


def test_files_go_in_and_their_results_are_shown(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open(dark=True)
            assert "Choose files or record" in browser.table
            broken = b"no audio at all" * 99
            await browser.run({"call.mp3": CALL.read_bytes(), "broken.wav": broken, "sad.wav": SAD.read_bytes()})
            assert "Uploading" in browser.tables[0]
            assert "2 of 3 done, 1 failed" in browser.table
            assert "It is no audio" in browser.table
            assert browser.figure["data"]
            first = browser.session.shown
            assert first in ((0, 0), (2, 0)), "what was there first is shown"
            for place, name in (("2.0", "sad.wav"), ("0.0", "call.mp3")):
                event = SimpleNamespace(_data={"place": place})
                browser.take(await page.chosen(browser.session.ticket, event, browser.request))
                assert name in browser.shown[browser.on.verdict]
            assert len({trace["name"] for trace in bars(browser.figure)}) > 3, "a call of several emotions"
            browser.take(await page.spoken(browser.session.ticket, "zh"))
            assert "已完成 2/3，失败 1" in browser.table
            assert "生气" in {trace["name"] for trace in bars(browser.figure)}
            assert "整体得分" in browser.shown[browser.on.details]
            browser.take(await page.chosen(browser.session.ticket, SimpleNamespace(_data={"place": "1.0"}), None))
            assert "不再保留" in browser.shown[browser.on.verdict], "what failed has no result"

    run(work())


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            stranger = Browser(page, language="zh-CN")
            await stranger.analyse("a.wav")
            assert "刷新页面" in stranger.table
            browser = Browser(page)
            await browser.open()
            await browser.analyse()
            assert "Choose a file" in browser.table
            await browser.analyse("a.wav", max_segment="long")
            assert "“Longest segment, seconds” is &#x27;long&#x27;" in browser.table
            page._server.drain()
            await browser.analyse("a.wav")
            assert "not ready" in browser.table

    run(work())


def test_what_is_too_long_too_short_or_stopped(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path, max_audio_s=5.0) as page:
            browser = Browser(page)
            await browser.open()
            await browser.run({"a.wav": SAD.read_bytes(), "b.wav": clip(1, 2.0)})
            assert "It is longer than 5 s" in browser.table
            assert "1 of 2 done, 1 failed" in browser.table
            going = asyncio.create_task(browser.analyse("c.wav"))
            await becomes(lambda: "Uploading" in browser.table)
            await page.stopped(browser.session.ticket)
            await going
            assert "Stopped" in browser.table

    run(work())


def test_frames_channels_and_whole_files_are_shown(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            await browser.run({"a.wav": SAD.read_bytes()}, granularity="frame", channels="split")
            assert [trace for trace in browser.figure["data"] if trace.get("stackgroup")]
            assert "channel 1: Sad" in browser.table
            await browser.run({"b.wav": SAD.read_bytes()}, granularity="utterance")
            assert len(bars(browser.figure)) == 2
            assert "<details>" not in browser.shown[browser.on.details]

    run(work())


def test_speech_is_written_down_where_there_is_a_transcriber(tmp_path: Path, converted_here: None) -> None:
    needs_gradio()
    checkpoint = recognizer_of()

    async def work() -> None:
        async with a_page(tmp_path, transcriber=str(checkpoint)) as page:
            browser = Browser(page)
            await browser.open()
            assert browser.on.task.visible
            shown = await page.asked("transcribe")
            assert shown[browser.on.spoken]["visible"]
            assert not shown[browser.on.granularity]["visible"]
            assert (await page.asked("emotion"))[browser.on.granularity]["visible"]
            texts = browser.on.texts("en", Options(), page._view.takes())
            assert not texts[browser.on.hotwords]["visible"], "SenseVoice listens for none"
            await browser.run({"call.mp3": CALL.read_bytes()}, task="transcribe", language="auto", hotwords="")
            (kept,) = page.sessions.all_kept(browser.session)
            assert kept.task == "transcribe"
            (told,) = kept.results
            assert told.sentences[0].text[:10] in html.unescape(browser.table)
            assert "English" in browser.shown[browser.on.verdict]
            assert browser.shown[browser.on.picture] is None
            await browser.run({"sad.wav": SAD.read_bytes()})
            assert browser.figure["data"], "the other task still works"
            await browser.analyse("call.mp3", task="transcribe", hotwords="words")
            assert "SeACo" in browser.table

    run(work(), 240)


def test_nothing_of_it_is_shown_where_there_is_none(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            assert not browser.on.task.visible
            await browser.analyse("a.wav", task="transcribe")
            assert "--transcriber sensevoice" in browser.table

    run(work())


def test_a_browser_that_goes_takes_its_work_along(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            browser = Browser(page)
            await browser.open()
            given = dict.fromkeys((browser.on.options | browser.on.spoken_options).values())
            given[browser.on.task] = "emotion"
            given |= {browser.on.ticket: browser.session.ticket, browser.on.facts: '{"files": ["a.wav"]}'}
            given[browser.on.granularity] = "segment"
            going = page.analysed(given, browser.request)
            await anext(going)
            working = browser.session.working
            await going.aclose()
            await asyncio.wait([working])
            assert working.cancelled()

    run(work())


def test_pages_of_different_clients_take_turns_as_their_other_requests_do(tmp_path: Path) -> None:
    needs_gradio()

    async def work() -> None:
        async with a_page(tmp_path) as page:
            given = {"granularity": "segment", "segment": "vad", "channels": "mix"}
            tenants = []
            for address in ("192.0.2.1", "2001:db8::1", "2001:db8::2", None):
                browser = Browser(page, address=address)
                await browser.open()
                tenants.append(page._call(browser.session, "emotion", given).tenant)
            assert tenants == ["192.0.2.1", "2001:db8::/64", "2001:db8::/64", None]

    run(work())


def test_keys_hold_for_the_page_too(tmp_path: Path) -> None:
    needs_gradio()
    keys = tmp_path / "keys.json"
    key = add_key(keys, "anna", 60.0)

    async def work() -> None:
        async with a_page(tmp_path, keys=str(keys)) as page:
            stranger = Browser(page, "anna")
            assert await stranger.open() == ""
            assert "Sign in again" in stranger.table
            assert page.door.open("anna", key)
            browser = Browser(page, "anna")
            await browser.open()
            assert "Sign out anna" in browser.shown[browser.on.heading]
            seen: list[Any] = []
            service = page._server.service
            results = service.results

            async def watched(upload: Upload, call: InferenceRequest, **more: Any) -> Any:
                seen.append(call.owner)
                return await results(upload, call, **more)

            service.results = watched
            await browser.run({"a.wav": SAD.read_bytes()})
            assert [(owner.name, owner.limit_s) for owner in seen] == [("anna", 60.0)]
            remove_key(keys, "anna")
            await browser.analyse("a.wav")
            assert "not valid any more" in browser.table

    run(work())
