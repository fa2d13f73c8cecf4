"""Owners of keys learn nothing of each other from the cache: no hit, no shared work, unless it is said."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.audio_files import wav16
from helpers.clips import voice
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone.server.auth import add_key
from overtone.server.cache import key_of


def headers_of(folder: Path, *names: str) -> tuple[Path, list[dict[str, str]]]:
    """A file of keys of these names, and the header that each is sent in."""
    path = folder / "keys.json"
    return path, [{"Authorization": f"Bearer {add_key(path, name)}"} for name in names]


def spoken(seed: int) -> bytes:
    """A second that no other test sends."""
    return wav16(voice(1.0, seed)[None])


def send(service: Running, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
    return service.http.post("/v1/emotion", files={"file": ("call.wav", content)}, headers=headers)


def origins(responses: list[httpx.Response]) -> list[str]:
    assert [response.status_code for response in responses] == [200] * len(responses)
    return [response.headers["x-overtone-cache"] for response in responses]


def at_once(service: Running, content: bytes, senders: list[dict[str, str]], flights: int) -> list[httpx.Response]:
    """Answers to the same file sent by all while the model is held, once so many computations are under way."""
    backend = service.server.host.recognizer.runtime.engine.workers[0].backend
    run, go = backend.run, threading.Event()

    def held(batch: Any) -> Any:
        assert go.wait(20)
        return run(batch)

    backend.run = held
    try:
        with ThreadPoolExecutor(len(senders)) as pool:
            sent = [pool.submit(send, service, content, headers) for headers in senders]
            under_way = service.server.service.answers._flights._flights
            # A sender that has not come yet would find the answer, and not join it.
            until(lambda: service.do(lambda: sum(flight.waiters for flight in under_way.values())) == len(senders))
            assert service.do(lambda: len(under_way)) == flights
            go.set()
            return [each.result() for each in sent]
    finally:
        go.set()
        backend.run = run


def test_one_key_learns_nothing_of_what_another_has_sent(tmp_path: Path) -> None:
    keys, (alice, bob) = headers_of(tmp_path, "alice", "bob")
    with serving(tmp_path, keys=str(keys)) as service:
        file = spoken(1)
        assert origins([send(service, file, alice), send(service, file, alice)]) == ["miss", "hit"]
        first = send(service, file, bob)
        assert origins([first]) == ["miss"]
        timing = first.headers["server-timing"]
        assert "run;dur=" in timing
        assert timing.endswith("cache;desc=miss")
        assert origins([send(service, file, bob), send(service, file, alice)]) == ["hit", "hit"]
        together = origins(at_once(service, spoken(2), [alice, alice, bob, bob], flights=2))
        for mine in (together[:2], together[2:]):
            assert sorted(mine) == ["miss", "shared"]


def test_a_cache_that_is_said_to_be_shared_is(tmp_path: Path) -> None:
    keys, (alice, bob) = headers_of(tmp_path, "alice", "bob")
    with serving(tmp_path, keys=str(keys), cache_namespace="shared") as service:
        file = spoken(3)
        assert origins([send(service, file, alice), send(service, file, bob)]) == ["miss", "hit"]
        together = origins(at_once(service, spoken(4), [alice, bob], flights=1))
        assert sorted(together) == ["miss", "shared"]


@pytest.mark.parametrize("one", [None, "a", "b", ""])
def test_keys_of_different_namespaces_differ_whatever_else_is_equal(one: str | None) -> None:
    others = {None, "a", "b", ""} - {one}
    key = key_of("audio", "model", {"window": 1.0}, one)
    assert key == key_of("audio", "model", {"window": 1.0}, one)
    assert key not in {key_of("audio", "model", {"window": 1.0}, other) for other in others}
