"""Values in Redis that others have written, changed, moved or cut: none is given to anybody, and nothing fails."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.clips import EXAMPLES
from helpers.server.loops import run
from helpers.server.redis_stub import RedisStub, stub_redis
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone.errors import UsageError
from overtone.results import Timings
from overtone.server.cache import MemoryStore, RedisStore, SealedStore, open_store, redis_store
from overtone.server.cache.sealed_store import MAGIC
from overtone.server.cache.secret import LEAST_BYTES, MOST_BYTES, read_secret
from overtone.server.inference.answer import CachedAnswer
from overtone.system.memory import MIB

SECRET = b"s" * 32
REDIS = "redis://localhost"


def sealed(key: str, value: bytes, secret: bytes = SECRET) -> bytes:
    """A sealed value, from the description of the form."""
    signed = b"overtone answer 1\n%d\n" % len(key) + key.encode() + value
    return b"OTS1" + hmac.new(secret, signed, hashlib.sha256).digest() + value


def looked_up(value: bytes, key: str = "k", secret: bytes = SECRET) -> tuple[bytes | None, int]:
    """The answer for a value that lies under the key, and the number of rejected ones."""

    async def check() -> tuple[bytes | None, int]:
        inner = MemoryStore(64 * MIB)
        await inner.put(key, value)
        store = SealedStore(inner, secret, bool)
        return await store.get(key), store.rejected_count

    return run(check())


def test_what_was_sealed_is_read_and_what_is_not_there_is_not_counted() -> None:
    async def check() -> None:
        inner = MemoryStore(64 * MIB)
        store = SealedStore(inner, SECRET, bool)
        assert await store.get("k") is None
        for value in (b"v", bytes(range(256)) * 2000):  # the second is opened in a thread
            await store.put("k", value)
            assert await inner.get("k") == sealed("k", value)
            assert await store.get("k") == value
        assert store.held_bytes == inner.held_bytes > 0
        assert (store.rejected_count, store.healthy, store.last_error, store.failure_count) == (0, True, None, 0)
        await store.close()
        assert await store.get("k") is None

    run(check())


@given(st.binary(min_size=1, max_size=60), st.data())
def test_no_changed_value_is_taken(value: bytes, data: st.DataObject) -> None:
    whole = sealed("k", value)
    assert looked_up(whole) == (value, 0)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    assert looked_up(whole[:at] + changed + whole[at + 1 :]) == (None, 1)
    assert looked_up(whole[:at]) == (None, 1)
    assert looked_up(whole + b"\0") == (None, 1)


def test_a_value_of_another_key_secret_or_form_is_none() -> None:
    assert looked_up(sealed("other", b"v")) == (None, 1)
    assert looked_up(sealed("k", b"v", b"t" * 32)) == (None, 1)
    assert looked_up(b"v" * 100) == (None, 1)
    assert looked_up(sealed("k", b"v").replace(MAGIC, b"OTS2")) == (None, 1)
    # No seal of one key and value is that of another pair that reads the same in a row.
    assert looked_up(sealed("k", b"1v"), "k1") == (None, 1)


KEPT = CachedAnswer((b'"model": "m"}',), 1.0, Timings()).kept()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null\n{}",
        b"[" * 100_000,
        b'{"duration_s":' + b"[" * 100_000,
        KEPT.partition(b"\n")[0],
        KEPT.replace(b"1.0", b'"1"'),
        KEPT.replace(b"1.0", b"NaN"),
        KEPT.replace(b"1.0", b"1e999"),
        KEPT.replace(b"1.0", b"9" * 5000),
        KEPT.replace(b'"run_s": 0.0', b'"run_s": true'),
        KEPT.replace(b'"run_s"', b'"walk_s"'),
        KEPT[:-1],
        KEPT + b"\n",
        KEPT.replace(b'"model"', b'"model": ' + b"[" * 100_000),
    ],
)
def test_a_sealed_value_that_is_no_answer_is_none(value: bytes) -> None:
    assert CachedAnswer.is_kept_form(KEPT)
    assert not CachedAnswer.is_kept_form(value)


def test_a_value_that_is_too_large_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "LARGEST_BYTES", 1000)
    stub = stub_redis(monkeypatch)

    async def check() -> None:
        store = SealedStore(RedisStore(REDIS, prefix=""), SECRET, bool)
        stub.values["k"] = sealed("k", bytes(1001))
        assert await store.get("k") is None
        assert store.rejected_count == 1
        await store.close()

    run(check())


# The service


def post(service: Running) -> httpx.Response:
    return service.http.post("/v1/emotion", files={"file": ("sad.wav", (EXAMPLES / "sad.wav").read_bytes())})


def rejected(service: Running) -> int:
    (line,) = [
        line for line in service.http.get("/metrics").text.splitlines() if line.startswith("overtone_cache_rejected_t")
    ]
    return round(float(line.split()[1]))


def kept(stub: RedisStub, other_than: bytes = b"") -> tuple[str, bytes]:
    """The one entry, once it has been written."""
    until(lambda: [value for value in stub.values.values() if value != other_than])
    ((key, value),) = stub.values.items()
    return key, value


def test_no_value_in_redis_makes_a_request_fail_or_its_answer_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_bytes(SECRET + b"\n")
    stub = stub_redis(monkeypatch)
    with serving(tmp_path, cache=REDIS, cache_secret_file=str(secret)) as service:
        first = post(service).json()
        name, whole = kept(stub)
        key = name.removeprefix(redis_store.PREFIX)
        assert whole == sealed(key, whole[len(MAGIC) + 32 :])
        assert post(service).headers["x-overtone-cache"] == "hit"
        lie = whole[len(MAGIC) + 32 :].replace(first["label"].encode(), b"joy")
        hostile = (
            lie,
            sealed(key, lie, b"guessed" * 5),
            sealed(key[::-1], lie),
            whole[:-1],
            whole[:20],
            bytes(redis_store.LARGEST_BYTES + 9),
            sealed(key, b"[" * 200_000),
        )
        for number, value in enumerate(hostile, 1):
            stub.values[name] = value
            answer = post(service)
            assert (answer.status_code, answer.headers["x-overtone-cache"]) == (200, "miss")
            assert answer.json()["scores"] == first["scores"]
            assert rejected(service) == number
            # It is put right.
            about, *_ = kept(stub, value)[1][len(MAGIC) + 32 :].split(b"\n")
            assert json.loads(about)["duration_s"] > 0
            assert post(service).headers["x-overtone-cache"] == "hit"


def test_services_with_one_secret_share_answers_and_others_do_not() -> None:
    async def check() -> None:
        inner = MemoryStore(MIB)
        one, same, other = (SealedStore(inner, secret, bool) for secret in (SECRET, SECRET, b"o" * 32))
        await one.put("k", b"v")
        assert await same.get("k") == b"v"
        assert await other.get("k") is None

    run(check())


# The secret


def test_a_secret_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b"a" * 64 + b"\n")
    assert read_secret(path) == b"a" * 64


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "has 0 bytes"), (b"hunter2" + b" " * 40, "has 7 bytes"), (b"x" * (MOST_BYTES + 1), "more than 4096 bytes")],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        read_secret(path)
    assert "openssl rand -hex 32" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_secret_that_is_not_there_or_open_to_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_store(REDIS, 0, None, secret_file=tmp_path / "none")
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o640)
    with pytest.raises(UsageError, match=rf"Run: chmod 600 {path}$"):
        open_store(REDIS, 0, None, secret_file=path)


def test_without_a_secret_one_is_made_for_the_run_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    stores = [open_store(REDIS, 0, None) for _ in range(2)]
    secrets = {store._secret for store in stores if isinstance(store, SealedStore)}
    assert len(secrets) == 2
    assert all(len(secret) == LEAST_BYTES for secret in secrets)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "cache_secret_file is not given" in caplog.text
    assert not any(secret.hex() in caplog.text for secret in secrets)
