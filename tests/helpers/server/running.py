"""A service of the bundled model, in a thread of this process, on a free port of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from overtone.options.emotion import Options
from overtone.server.inference.models import ModelSet
from overtone.server.run import listen, serve_on
from overtone.server.settings import Settings
from overtone.server.state import Server, load_models

_START_S = 180.0
"""Seconds to load the models, on a busy machine; those that were published just now are converted first."""


class Running:
    """A service that runs: its address, a client, and its parts to look at."""

    def __init__(self, server: Server, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self.url, self._loop = server, url, loop
        # Without certificates: they take 15 ms to load, and nothing here is encrypted.
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False, verify=False)

    def do(self, work: Callable[[], Any]) -> Any:
        """Have something done on the event loop."""
        done: list[Any] = []
        ready = threading.Event()

        def run() -> None:
            done.append(work())
            ready.set()

        self._loop.call_soon_threadsafe(run)
        assert ready.wait(10)
        return done[0]


@contextlib.contextmanager
def serving(
    folder: Path, start: Callable[[], ModelSet] | None = None, model: str = "tiny", **given: Any
) -> Iterator[Running]:
    """Run a service while the block runs. What it raises at its end is raised here."""
    given = {"port": 0, "page": False, "jobs": str(folder / "jobs"), "uploads": str(folder), **given}
    settings = Settings(**given)
    options = Options(model=model, memory="4GiB")
    told, ended = threading.Event(), []
    running: list[Running] = []

    async def main() -> None:
        with contextlib.closing(listen(settings)) as listening:
            server = Server(settings, start or load_models(options, settings))

            def ready(url: str) -> None:
                running.append(Running(server, url, asyncio.get_running_loop()))
                told.set()

            await serve_on(listening, server, ready)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            ended.append(error)
        finally:
            told.set()

    thread = threading.Thread(target=run, name="service")
    thread.start()
    assert told.wait(_START_S)
    if not running:
        thread.join(10)
        raise ended[0]
    try:
        yield running[0]
    finally:
        running[0].http.close()
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            running[0].do(running[0].server.drain)
        thread.join(60)
        assert not thread.is_alive()
    if ended:
        raise ended[0]
