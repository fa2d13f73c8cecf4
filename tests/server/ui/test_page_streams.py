"""Pages that are open: each has one connection for as long as it is known, and strangers have none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from helpers.server.page import becomes
from overtone.errors import Code, RefusedError
from overtone.server.ui.door import Door
from overtone.server.ui.kept import Shelf
from overtone.server.ui.page_streams import OF_CLIENT, PageStreams
from overtone.server.ui.sessions import KEPT_S, Sessions

MOST = 300
"""Streams of all clients in these tests."""

START = {"type": "http.response.start", "status": 200, "headers": []}
ALIVE = {"type": "http.response.body", "body": b"data: ALIVE\n\n", "more_body": True}
END = {"type": "http.response.body", "body": b""}


async def forever(scope: Any, receive: Any, send: Any) -> None:
    await send(dict(START))
    await send(dict(ALIVE))
    await asyncio.sleep(3600)


class Watched(Sessions):
    """Sessions that count how often it was looked whether a page is known."""

    looks = 0

    def knows(self, browser: str) -> bool:
        self.looks += 1
        return super().knows(browser)


class Pages:
    def __init__(self, app: Any = forever, door: Door | None = None, users: dict[str, str] | None = None) -> None:
        self.now = 0.0
        self.sessions = Watched(cast(Shelf, None), lambda: self.now)
        self.streams = PageStreams(
            app,
            self.sessions,
            door or Door(None),
            lambda scope: (users or {}).get(scope["path"]),
            most=MOST,
            opened_s=0.05,
            look_s=0.01,
        )

    def open(self, browser: str, client: str = "192.0.2.1") -> tuple[asyncio.Task[None], list[Any]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.sleep(3600)

        scope = {"type": "http", "path": f"/gradio_api/heartbeat/{browser}", "client": (client, 1)}
        return asyncio.ensure_future(cast(Coroutine[Any, Any, None], self.streams(scope, receive, send))), sent


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_heartbeat_of_no_page_ends_soon() -> None:
    async def main() -> None:
        task, sent = Pages().open("nobody")
        await task
        assert sent == [START, ALIVE, END]

    run(main)


def test_a_heartbeat_lasts_as_long_as_its_page() -> None:
    async def main() -> None:
        pages = Pages()
        task, sent = pages.open("b")
        pages.sessions.open(None, "b")
        await becomes(lambda: pages.sessions.looks > 3)
        assert not task.done()
        pages.now = KEPT_S + 1
        pages.sessions.sweep()
        await task
        assert sent[-1] == END

    run(main)


def test_where_keys_are_used_only_who_signed_in_has_one() -> None:
    class Locked(Door):
        valid = True

        @property
        def locked(self) -> bool:
            return True

        def owner(self, name: str | None) -> Any:
            if name != "alice" or not self.valid:
                raise RefusedError("sign in", code=Code.UNAUTHORIZED)

    async def main() -> None:
        door = Locked(None)
        pages = Pages(door=door, users={"/gradio_api/heartbeat/b": "alice"})
        task, sent = pages.open("c")
        with pytest.raises(RefusedError, match="sign in"):
            await task
        assert sent == []
        task, sent = pages.open("b")
        pages.sessions.open("alice", "b")
        await becomes(lambda: len(sent) == 2)
        door.valid = False  # her key is withdrawn
        await task
        assert sent[-1] == END

    run(main)


def test_one_client_has_so_many_open_pages_and_all_have_so_many() -> None:
    async def main() -> None:
        pages = Pages()
        open = [pages.open("b", "192.0.2.1")[0] for _ in range(OF_CLIENT)]
        await asyncio.sleep(0)
        for client, count in (("192.0.2.1", 0), ("192.0.2.2", 1)):
            task, sent = pages.open("b", client)
            await becomes(lambda task=task, sent=sent: task.done() or sent)
            assert len(sent[:1]) == count
            open.append(task)
        with pytest.raises(RefusedError, match="too many pages"):
            await open[-2]
        for at in range(MOST // OF_CLIENT):
            open += [pages.open("b", f"198.51.100.{at}")[0] for _ in range(OF_CLIENT)]
        refused = await asyncio.gather(*open, return_exceptions=True)
        assert sum(isinstance(error, RefusedError) for error in refused) == len(open) - MOST
        assert (await asyncio.gather(pages.open("b")[0])) == [None]  # they have ended, and there is room

    run(main)


def test_what_goes_wrong_in_it_is_raised_and_what_is_cancelled_ends() -> None:
    async def main() -> None:
        async def broken(*_: Any) -> None:
            raise OSError("broken")

        with pytest.raises(OSError, match="broken"):
            await Pages(broken).open("b")[0]
        task, sent = Pages().open("b")
        await becomes(lambda: len(sent) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_the_stream_of_answers_ends_with_its_page_too() -> None:
    async def main() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/gradio_api/queue/data", "query_string": b"session_hash=b"}
        pages = Pages()
        pages.sessions.open(None, "b")
        task = asyncio.ensure_future(pages.streams(scope, cast(Any, None), send))
        await becomes(lambda: pages.sessions.looks > 3)
        assert not task.done()
        pages.sessions.close_all()
        await task
        assert sent == [START, ALIVE, END]

    run(main)


def test_other_requests_of_the_page_go_through() -> None:
    async def main() -> None:
        asked: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope["path"])

        streams = Pages(app).streams
        await streams({"type": "http", "path": "/config"}, cast(Any, None), cast(Any, None))
        assert asked == ["/config"]

    run(main)
