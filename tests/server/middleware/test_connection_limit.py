"""How much is under way: places of one client, of all, and those that only probes have."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import RefusedError
from overtone.server.middleware.connection_limit import ConcurrencyLimits, ConnectionLimit


async def nothing(*_: Any) -> Any:
    raise AssertionError("it does not come to that")


class Held:
    """An app whose requests last as long as a test wants."""

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._began: asyncio.Queue[None] = asyncio.Queue()
        self._limit = ConnectionLimit(self._app, limits)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self._began.put_nowait(None)
        await asyncio.sleep(3600)

    @asynccontextmanager
    async def request(self, path: str = "/v1/emotion", client: str = "192.0.2.1", kind: str = "http") -> Any:
        scope = {"type": kind, "path": path, "client": (client, 1)}
        task = asyncio.create_task(self._limit(scope, nothing, nothing))
        began = asyncio.create_task(self._began.get())
        await asyncio.wait((task, began), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            began.cancel()
            await task
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_one_client_has_so_many_and_others_have_theirs() -> None:
    async def main() -> None:
        app = Held(ConcurrencyLimits(5, 2, 1))
        async with AsyncExitStack() as open:
            await open.enter_async_context(app.request())
            async with app.request(kind="websocket"):
                with pytest.raises(RefusedError, match="a client may have 2") as refused:
                    await open.enter_async_context(app.request())
                assert (refused.value.code, refused.value.retry_after_s) == ("busy", 1.0)
                await open.enter_async_context(app.request(client="192.0.2.2"))
            await open.enter_async_context(app.request())  # where one has ended there is room again

    asyncio.run(main())


def test_nobody_takes_the_places_of_probes() -> None:
    async def main() -> None:
        app = Held(ConcurrencyLimits(3, 3, 2))
        async with AsyncExitStack() as open:
            for at in range(3):
                await open.enter_async_context(app.request(client=f"192.0.2.{at}"))
            with pytest.raises(RefusedError, match="3 requests"):
                await open.enter_async_context(app.request(client="192.0.2.9"))
            await open.enter_async_context(app.request("/healthz", "192.0.2.9"))
            await open.enter_async_context(app.request("/metrics", "192.0.2.9"))
            with pytest.raises(RefusedError, match="about the service itself"):
                await open.enter_async_context(app.request("/readyz", "192.0.2.9"))

    asyncio.run(main())


@given(st.integers(8, 2000), st.integers(1, 5000))
def test_what_is_under_way_leaves_connections_for_others(connections: int, of_client: int) -> None:
    limits = ConcurrencyLimits.within(connections, of_client)
    assert 0 < limits.most < connections
    assert limits.probes >= 2
    assert limits.of_client == of_client
