"""Answers kept: bounded, computed once, never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import traceback
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.server.loops import Boom, Clock, Work, giving, never, run, settle
from overtone.errors import RefusedError, UsageError
from overtone.server.cache import (
    MemoryStore,
    RedisStore,
    ResultCache,
    SealedStore,
    SingleFlight,
    Store,
    key_of,
    keys,
    open_store,
    result_cache,
)
from overtone.server.cache.memory import ENTRY_BYTES, LARGEST_SHARE
from overtone.server.cache.redis_url import name_of
from overtone.system.memory import MIB

SECRET = "hunter2"

KEYS = st.sampled_from(["a" * 8, "b" * 8, "c" * 8, "d" * 8, "e" * 64])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from([0, 1, 120, 130, 131, 180, 260, 900])),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 15)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(STEPS, st.sampled_from([0, 300, 1040, 1500, 2080]), st.sampled_from([None, 10.0]))
def test_memory_is_bounded_and_drops_what_was_used_least_recently(
    steps: list[tuple[str, str, int]], capacity: int, ttl_s: float | None
) -> None:
    async def check() -> None:
        clock = Clock()
        store = MemoryStore(capacity, ttl_s, clock=clock)
        model: list[tuple[str, bytes, float]] = []  # least recently used first
        evicted = 0
        for number, (step, key, amount) in enumerate(steps):
            there = next((entry for entry in model if entry[0] == key), None)
            if step == "wait":
                clock.now_s += amount
            elif step == "get":
                if there is not None:
                    model.remove(there)
                    if ttl_s is None or clock.now_s < there[2] + ttl_s:
                        model.append(there)
                    else:
                        there = None
                assert await store.get(key) == (there[1] if there else None)
            else:
                value = bytes([number % 256]) * amount
                await store.put(key, value)
                if there is not None:
                    model.remove(there)
                if amount <= capacity / LARGEST_SHARE and ENTRY_BYTES + len(key) + amount <= capacity:
                    model.append((key, value, clock.now_s))
                while sum(ENTRY_BYTES + len(k) + len(v) for k, v, _ in model) > capacity:
                    del model[0]
                    evicted += 1
            assert store.held_bytes == sum(ENTRY_BYTES + len(k) + len(v) for k, v, _ in model) <= capacity
            assert (store.entries, store.evicted) == (len(model), evicted)
        await store.close()
        assert (store.held_bytes, store.entries) == (0, 0)

    run(check())


def test_a_large_value_is_not_kept_and_neither_is_the_one_it_replaces() -> None:
    async def check() -> None:
        store = MemoryStore(80_000)
        await store.put("a", b"1" * 10_000)
        await store.put("b", b"2")
        await store.put("a", b"3" * 10_001)
        assert await store.get("a") is None
        assert await store.get("b") == b"2"
        assert store.evicted == 0

    run(check())


def test_memory_held_is_what_is_said() -> None:
    async def check() -> None:
        store = MemoryStore(64 * MIB)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(10_000):
                await store.put(f"{number:064x}", bytes(200 + number % 7))
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert store.entries == 10_000
        # Not less than it takes, and not a third more.
        assert taken <= store.held_bytes <= taken * 1.33

    run(check())


@pytest.mark.parametrize("ttl_s", [0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_time_to_keep_that_is_none(ttl_s: float) -> None:
    for cache in ("memory", "off", "redis://localhost"):
        with pytest.raises(UsageError, match="more than 0"):
            open_store(cache, 1000, ttl_s)


def test_less_than_no_memory() -> None:
    with pytest.raises(UsageError, match="give 0 for none"):
        MemoryStore(-1)


class Slow(MemoryStore):
    """A store that takes until told to put, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(MIB)
        self.go = asyncio.Event()
        self.gets = 0
        self.puts = 0

    async def get(self, key: str) -> bytes | None:
        self.gets += 1
        return await super().get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.puts += 1
        await self.go.wait()
        await super().put(key, value)


def test_answers_are_made_once_and_kept() -> None:
    async def check() -> None:
        front = ResultCache(MemoryStore(MIB))
        found = await asyncio.gather(*(front.get_or_make("k", giving(b"v")) for _ in range(3)))
        assert found == [(b"v", "miss"), (b"v", "shared"), (b"v", "shared")]
        found = await asyncio.gather(*(front.get_or_make("k", never) for _ in range(3)))
        assert found == [(b"v", "hit")] * 3
        assert (front.misses, front.shared, front.hits, front.dropped, front.failure_count) == (1, 2, 3, 0, 0)
        assert front.held_bytes == ENTRY_BYTES + 2
        assert front.healthy
        assert front.last_error is None
        await front.close()
        assert front.held_bytes == 0

    run(check())


def test_flights_that_are_given_are_the_ones_used() -> None:
    async def check() -> None:
        flights = SingleFlight()
        front = ResultCache(MemoryStore(MIB), flights)
        await front.close()
        with pytest.raises(RefusedError):
            await flights.run("k", giving(b"v"))

    run(check())


def test_with_the_cache_off_only_what_is_asked_at_once_is_shared() -> None:
    async def check() -> None:
        front = ResultCache(open_store("off", 1000, None))
        for _ in range(2):
            found = await asyncio.gather(*(front.get_or_make("k", giving(b"v")) for _ in range(2)))
            assert [outcome for _, outcome in found] == ["miss", "shared"]
        assert front.held_bytes == 0
        await front.close()

    run(check())


def test_failures_are_not_kept() -> None:
    async def fail() -> bytes:
        raise Boom("no")

    async def check() -> None:
        store = MemoryStore(MIB)
        front = ResultCache(store)
        found = await asyncio.gather(*(front.get_or_make("k", fail) for _ in range(2)), return_exceptions=True)
        assert [str(error) for error in found] == ["no", "no"]
        assert store.entries == front.misses == 0
        assert await front.get_or_make("k", giving(b"v")) == (b"v", "miss")
        await front.close()

    run(check())


def test_nobody_waits_for_a_slow_store_and_the_answer_is_there_meanwhile() -> None:
    async def check() -> None:
        store = Slow()
        front = ResultCache(store)
        assert await front.get_or_make("k", giving(b"v")) == (b"v", "miss")
        await settle()
        assert (store.puts, store.entries) == (1, 0)
        assert front.held_bytes > 0
        assert await front.get_or_make("k", never) == (b"v", "hit")
        assert store.gets == 1
        store.go.set()
        await settle()
        assert front.held_bytes == store.held_bytes > 0
        assert await front.get_or_make("k", never) == (b"v", "hit")
        assert store.gets == 2
        await front.close()

    run(check())


def test_what_is_on_its_way_to_a_slow_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_cache, "KEEPING_BYTES", 2 * (result_cache.KEPT_BYTES + 100))

    async def check() -> None:
        store = Slow()
        front = ResultCache(store)
        for key in "abcd":
            assert await front.get_or_make(key, giving(bytes(100))) == (bytes(100), "miss")
        assert front.held_bytes == result_cache.KEEPING_BYTES
        assert front.dropped == 2
        store.go.set()
        await settle()
        assert store.entries == 2
        store.go.clear()
        # A single one may be larger.
        await front.get_or_make("e", giving(bytes(100_000)))
        assert front.dropped == 2
        store.go.set()
        await front.close()

    run(check())


def test_work_that_ends_although_all_have_left_it_does_not_disturb_what_was_computed_anew() -> None:
    async def check() -> None:
        store, gate = Slow(), asyncio.Event()
        front = ResultCache(store)

        async def stubborn() -> bytes:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()
                    return b"old"

        first = asyncio.create_task(front.get_or_make("k", stubborn))
        await settle()
        first.cancel()
        await settle()
        assert await front.get_or_make("k", giving(b"new")) == (b"new", "miss")
        gate.set()
        await settle()
        assert await front.get_or_make("k", never) == (b"new", "hit")
        assert store.puts == 1
        store.go.set()
        await front.close()
        assert front.held_bytes == 0

    run(check())


def test_closing_keeps_what_is_done_if_that_goes_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_cache, "CLOSING_S", 0.05)

    class Remembers(Slow):
        kept = 0

        async def close(self) -> None:
            self.kept = self.entries
            await super().close()

    async def check(quick: bool) -> None:
        store, work = Remembers(), Work()
        front = ResultCache(store)
        await front.get_or_make("k", giving(b"v"))
        waiter = asyncio.create_task(front.get_or_make("other", work))  # type: ignore[arg-type]
        await settle()
        if quick:
            asyncio.get_running_loop().call_soon(store.go.set)
        await front.close()
        assert store.kept == quick
        assert front.held_bytes == 0
        with pytest.raises(RefusedError):
            await waiter
        with pytest.raises(RefusedError):
            await front.get_or_make("k", giving(b"v"))

    run(check(True))
    run(check(False))


def test_who_leaves_an_answer_does_not_take_it_from_others() -> None:
    async def check() -> None:
        front, gate = ResultCache(MemoryStore(MIB)), asyncio.Event()

        async def make() -> bytes:
            await gate.wait()
            return b"v"

        waiters = [asyncio.create_task(front.get_or_make("k", make)) for _ in range(3)]
        await settle()
        waiters[0].cancel()
        await settle()
        gate.set()
        assert [await task for task in waiters[1:]] == [(b"v", "shared")] * 2
        await front.close()

    run(check())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.dictionaries(st.text(), VALUES, max_size=4)
REQUESTS = st.tuples(st.text(max_size=4), st.text(max_size=4), OPTIONS)


@given(REQUESTS)
def test_the_order_of_options_does_not_matter(request: tuple[str, str, dict[str, object]]) -> None:
    content, model, options = request
    key = key_of(content, model, options)
    assert key == key_of(content, model, dict(reversed(options.items())))
    assert len(bytes.fromhex(key)) == 32


@given(REQUESTS, REQUESTS)
def test_different_requests_have_different_keys(
    one: tuple[str, str, dict[str, object]], other: tuple[str, str, dict[str, object]]
) -> None:
    # Python takes 1, 1.0 and True for equal; their keys may differ.
    if one != other:
        assert key_of(*one) != key_of(*other)


def test_requests_that_could_run_together_do_not() -> None:
    alike: list[tuple[str, str, dict[str, object]]] = [
        ("ab", "c", {}), ("a", "bc", {}), ("abc", "", {}), ('ab","c', "", {}),
        ("a", "b", {"x": 1}), ("a", "b", {"x": "1"}), ("a", "b", {"x": True}), ("a", "b", {"x": None}),
        ("a", "b", {"x": "None"}), ("a", "b", {"x": [1]}), ("a", "b", {"x": {"1": 1}}),
        ("a", "b", {"x": 1, "y": 2}), ("a", "b", {"x": 2, "y": 1}), ("a", "b", {"x": {"y": 2}}),
    ]  # fmt: skip
    assert len({key_of(*request) for request in alike}) == len(alike)
    assert key_of("a", "b", {"x": (1, 2)}) == key_of("a", "b", {"x": [1, 2]})


def test_another_version_has_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of("a", "b", {})
    assert before == key_of("a", "b", {})
    monkeypatch.setattr(keys, "__version__", "another")
    assert key_of("a", "b", {}) != before


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {1: 2}}, {"a": Path("x")}, {"a": {1, 2}}, {"a": float("nan")}])
def test_options_that_json_cannot_tell_apart_have_no_key(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        key_of("a", "b", value)


def test_settings() -> None:
    async def check() -> None:
        for cache, kind in [("memory", MemoryStore), ("off", MemoryStore), ("redis://localhost", SealedStore)]:
            store: Store = open_store(cache, 4096, 60.0)
            assert isinstance(store, kind)
            await store.put("k", b"v") if kind is MemoryStore else None
            assert (await store.get("k") if kind is MemoryStore else None) == (b"v" if cache == "memory" else None)
            await store.close()

    run(check())


@pytest.mark.parametrize(
    "cache",
    ["", "on", "Memory", "redis", f"redis:{SECRET}@host", f"http://:{SECRET}@host", f"redis://:{SECRET}@host:port/0",
     f"redis://:{SECRET}@", f"redis://u:{SECRET}@host/zero", f"redis://u:1/{SECRET}@host", f"redis://u:1#{SECRET}@host",
     f"redis://u:1?{SECRET}@host", f"redis://u:1?{SECRET}@host=2", f"redis://:{SECRET}@[::1/0", "redis://", "unix://",
     "unix://run/redis.sock", f"redis://:{SECRET}@host:99999", f"redis://:{SECRET}@host/0?db=two",
     f"redis://:{SECRET}@host?socket_timeout=60", f"redis://:{SECRET}@host?decode_responses=yes",
     f"redis://:{SECRET}@host?ssl_ca_certs=/ca.pem", f"rediss://:{SECRET}@host?ssl_nonsense=1",
     f"redis://:{SECRET}@ho\u2100st", f"rediss://:{SECRET}@host?ssl_cert_reqs=maybe"],
)  # fmt: skip
def test_settings_that_are_none_are_refused_and_not_repeated(cache: str) -> None:
    with pytest.raises(UsageError, match=r"redis://.*host:6379/0") as caught:
        open_store(cache, 4096, 60.0)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "name"),
    [("redis://localhost", "Redis at localhost:6379"), (f"rediss://u:{SECRET}@h:1/2", "Redis at h:1"),
     (f"redis://:{SECRET}%2F@[::1]:6380/", "Redis at [::1]:6380"), (f"redis://:p@{SECRET}@h/0?db=1", "Redis at h:6379"),
     (f"unix://u:{SECRET}@/run/r.sock?db=2", "Redis at /run/r.sock"),
     (f"unix:///r.sock?password={SECRET}", "Redis at /r.sock"),
     ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false", "Redis at h:6379")],
)  # fmt: skip
def test_names_of_addresses_show_no_password(url: str, name: str) -> None:
    assert name_of(url) == name
    RedisStore(url)  # and redis-py takes them


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(UsageError, match=r"overtone\[server\]") as caught:
        open_store("redis://localhost", 4096, None)
    assert caught.value.code == "missing_extra"


def test_importing_the_cache_does_not_import_redis_py() -> None:
    code = "import sys, overtone.server.cache; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
