"""Uploads as a server hands them in, in pieces cut anywhere: whole files, or a refusal that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("python_multipart", reason="the extra [server] is not installed")
pytest.importorskip("starlette", reason="the extra [server] is not installed")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overtone.errors import InputError, OvertoneError, RefusedError, UsageError
from overtone.server.uploads import Received, Spool, UploadLimits, receive
from overtone.server.uploads import spooled_file as growing
from overtone.server.uploads.names import MOST_CHARACTERS, sanitize_filename
from overtone.server.uploads.rate_limit import RateLimit
from overtone.server.uploads.receive import FORM_BYTES
from overtone.system.memory import KIB, MIB

BOUNDARY = "boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"

Part = tuple[str, bytes]


def limits(**changes: Any) -> UploadLimits:
    given: dict[str, Any] = {
        "most_bytes": 8 * MIB,
        "most_files": 8,
        "idle_s": 20,
        "least_rate": 0,
        "total_bytes": 9 * MIB,
    }
    return UploadLimits(**given | changes)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "uploads", limits()) as made:
        yield made


def form(*parts: Part, closing: bool = True) -> bytes:
    """A body of parts: the headers after `form-data`, and the content."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n".encode() + content + b"\r\n"
        for headers, content in parts
    )
    return body + (f"--{BOUNDARY}--\r\n".encode() if closing else b"")


def a_file(content: bytes, name: str = "a.wav") -> Part:
    return f'name="file"; filename="{name}"', content


class Exchange:
    """One request through an application: what came of it, and how many messages were read."""

    def __init__(
        self, spool: Spool, pieces: Iterable[bytes], *, then: str = "end", query: str = "", **headers: str
    ) -> None:
        self.spool = spool
        self.outcome: Received | OvertoneError | None = None
        self.read = 0
        self._pieces = iter(pieces)
        self._then = then
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
        }

    async def _receive(self) -> dict[str, Any]:
        self.read += 1
        await asyncio.sleep(0)
        for piece in self._pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._then == "vanish":
            return {"type": "http.disconnect"}
        if self._then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _endpoint(self, request: Request) -> Response:
        try:
            self.outcome = await receive(self.spool, request)
        except OvertoneError as error:
            self.outcome = error
        return Response()

    async def run(self) -> Received:
        """Through the application; raises what was refused."""

        async def send(message: Any) -> None:
            pass

        app = Starlette(routes=[Route("/", self._endpoint, methods=["POST"])])
        await asyncio.wait_for(app(self._scope, self._receive, send), 30)
        if isinstance(self.outcome, OvertoneError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome


def sent(spool: Spool, *pieces: bytes, **more: str) -> Received:
    return asyncio.run(Exchange(spool, pieces, **{"content_type": FORM} | more).run())


def refused(spool: Spool, code: str, *pieces: bytes, says: str = ".", **more: str) -> OvertoneError:
    """The refusal with this code; nothing stays behind it."""
    with pytest.raises(OvertoneError, match=says) as caught:
        sent(spool, *pieces, **more)
    assert caught.value.code == code, caught.value
    assert_nothing_stays(spool)
    return caught.value


def assert_nothing_stays(spool: Spool) -> None:
    assert spool.held_bytes == 0
    assert not list(spool.path.glob("upload-*"))


def contents(received: Received) -> list[tuple[str, bytes]]:
    return [(upload.name, upload.path.read_bytes()) for upload in received.files]


def let_go(received: Received) -> None:
    for upload in received.files:
        upload.remove()


# Whole files.

NEARLY_BOUNDARIES = [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\r\n--bound", b"--boundary", b"\r\n--boundarx"]
CONTENT = (
    st.lists(st.sampled_from(NEARLY_BOUNDARIES) | st.binary(max_size=12), min_size=1, max_size=12)
    .map(b"".join)
    .filter(lambda content: content and b"\r\n--boundary" not in content)
)
WORD = st.text("abcäß語-_ .", min_size=1, max_size=8).map(lambda word: f"x{word}x")
FILES = st.lists(st.tuples(WORD, CONTENT), min_size=1, max_size=4)
FIELDS = st.dictionaries(WORD, st.text(st.characters(codec="utf-8"), max_size=20), max_size=3)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FIELDS, st.binary(max_size=3), st.data())
def test_any_cutting_of_any_form_gives_the_same_files(
    spool: Spool, files: Sequence[tuple[str, bytes]], fields: dict[str, str], end: bytes, data: st.DataObject
) -> None:
    parts = [a_file(content, name) for name, content in files]
    parts += [(f'name="{name}"', value.encode()) for name, value in fields.items() if "\r\n--boundary" not in value]
    body = data.draw(st.sampled_from([b"", b"\r\n", b"\n"])) + form(*data.draw(st.permutations(parts))) + end
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    received = sent(spool, *(body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)))
    assert sorted(contents(received)) == sorted(files)
    assert received.fields == fields
    for upload in received.files:
        content = upload.path.read_bytes()
        assert (upload.size_bytes, upload.digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert spool.held_bytes == sum(len(content) for _, content in files)
    let_go(received)
    assert_nothing_stays(spool)


def test_a_form_cut_at_every_byte(spool: Spool) -> None:
    body = form(a_file(b"one\r\n--bound"), ('name="keep"', b"1"), a_file(b"\r\n\r\n--two", "b.wav"))
    for cut in range(len(body)):
        received = sent(spool, body[:cut], body[cut:])
        assert contents(received) == [("a.wav", b"one\r\n--bound"), ("b.wav", b"\r\n\r\n--two")]
        assert received.fields == {"keep": "1"}
        let_go(received)
    assert contents(sent(spool, *(body[i : i + 1] for i in range(len(body)))))[0] == ("a.wav", b"one\r\n--bound")


@pytest.mark.parametrize("kind", ["application/octet-stream", "audio/wav", "Video/MP4; codecs=x"])
def test_a_body_that_is_the_file(spool: Spool, kind: str) -> None:
    received = sent(spool, b"ab", b"", b"c", content_type=kind, query="name=call%20%C3%A4.wav")
    assert contents(received) == [("call ä.wav", b"abc")]
    assert received.fields == {}
    assert received.files[0].digest == hashlib.sha256(b"abc").hexdigest()
    assert sent(spool, b"abc", content_type=kind).files[0].name == "upload"


def test_large_files_are_written_while_they_come(spool: Spool) -> None:
    piece, held = os.urandom(64 * KIB), []

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            held.append(spool.held_bytes)
            yield piece

    received = asyncio.run(Exchange(spool, pieces(), content_type="audio/wav").run())
    assert received.files[0].digest == hashlib.sha256(piece * 50).hexdigest()
    assert [b - a for a, b in itertools.pairwise(held) if b != a] == [MIB] * 3  # so much at a time
    assert received.files[0].size_bytes == 50 * len(piece)


def test_only_the_owner_can_read_them(spool: Spool) -> None:
    before = os.umask(0)
    try:
        upload = sent(spool, form(a_file(b"secret"))).files[0]
    finally:
        os.umask(before)
    assert upload.path.stat().st_mode & 0o777 == 0o600
    assert upload.path.parent.stat().st_mode & 0o777 == 0o700


def test_removing_twice_gives_the_bytes_back_once(spool: Spool) -> None:
    kept, gone = sent(spool, form(a_file(b"12345"), a_file(b"67"))).files
    gone.remove()
    gone.remove()
    assert spool.held_bytes == 5
    assert kept.path.exists()
    assert not gone.path.exists()


def test_a_part_called_file_needs_no_file_name(spool: Spool) -> None:
    received = sent(spool, form(('name="file"', b"x"), ('name="other"', b"y")))
    assert contents(received) == [("upload", b"x")]
    assert received.fields == {"other": "y"}


# Names.


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (r'filename="../../etc/passwd"', "passwd"),
        (r'filename="C:\x"', "x"),
        (r'filename="C:\\dir\\x.wav"', "x.wav"),
        (r'filename="/"', "upload"),
        (r'filename=".."', "upload"),
        (r'filename=""', "upload"),
        ('filename="a\x00b\x1b[2J.wav"', "a_b_[2J.wav"),
        ('filename="a\u202egnp.wav"', "a_gnp.wav"),
        ('filename="통화 👩\u200d💻.wav"', "통화 👩\u200d💻.wav"),
        ("filename*=UTF-8''..%2F%e2%82%ac%00.wav", "€_.wav"),
        ("filename*=iso-8859-1'en'%E4.wav", "ä.wav"),
        ("filename=\"a.wav\"; filename*=UTF-8''b.wav", "a.wav"),
    ],
)
def test_names_are_made_harmless(spool: Spool, header: str, name: str) -> None:
    upload = sent(spool, form((f'name="audio"; {header}', b"x"))).files[0]
    assert upload.name == name
    assert upload.path.parent == spool.path
    assert upload.path.name.startswith("upload-")


def test_a_long_name_keeps_its_ending(spool: Spool) -> None:
    name = sent(spool, form(a_file(b"x", "n" * 10_000 + ".wav"))).files[0].name
    assert len(name) == MOST_CHARACTERS
    assert name.endswith("n.wav")
    assert (
        len(sent(spool, b"x", content_type="audio/wav", query="name=" + "%00/" * 999 + "n" * 10_000).files[0].name)
        == 200
    )


@given(st.text(max_size=300) | st.text("./\\ \0\n", max_size=20))
def test_any_name_is_a_short_printable_component(name: str) -> None:
    shown = sanitize_filename(name)
    assert 0 < len(shown) <= MOST_CHARACTERS
    assert shown not in (".", "..")
    assert not set(shown) & set("/\\\0\r\n\u2028\u202e")
    shown.encode("utf-8")
    assert sanitize_filename(shown) == shown


# Limits.


def test_what_is_announced_too_large_is_refused_before_a_byte_is_read(spool: Spool) -> None:
    for kind, length in (("audio/wav", 8 * MIB + 1), (FORM, 8 * MIB + FORM_BYTES + 1)):
        exchange = Exchange(spool, [b"x"], content_type=kind, content_length=str(length))
        with pytest.raises(RefusedError, match="at most 8 MiB") as caught:
            asyncio.run(exchange.run())
        assert caught.value.code == "too_large"
        assert exchange.read == 0


@pytest.mark.parametrize("wrap", [lambda data: form(a_file(data)), bytes], ids=["form", "plain"])
def test_the_limit_holds_to_the_byte_whatever_is_announced(tmp_path: Path, wrap: Any) -> None:
    kind = FORM if wrap(b"") else "audio/wav"
    with Spool(tmp_path, limits(most_bytes=1000, total_bytes=1000)) as spool:
        body = wrap(b"x" * 1000)
        let_go(sent(spool, body, content_type=kind, content_length=str(len(body))))
        refused(spool, "too_large", wrap(b"x" * 1001), says="1000 bytes", content_type=kind, content_length="10")
        refused(spool, "too_large", wrap(b"x" * 600) * 2, says="1000 bytes", content_type="audio/wav")


def test_what_follows_a_form_is_bounded_as_well(spool: Spool) -> None:
    refused(spool, "too_large", form(a_file(b"x")), *[b"x" * MIB] * 10)


def test_all_files_of_a_request_count_together(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(most_bytes=1000, most_files=3, total_bytes=1000)) as spool:
        refused(spool, "too_large", form(*[a_file(b"x" * 400)] * 3))
        refused(spool, "bad_request", form(*[a_file(b"x")] * 4), says="at most 3 files")


def test_all_requests_count_together(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(most_bytes=1000, total_bytes=1500)) as spool:
        kept = sent(spool, b"x" * 1000, content_type="audio/wav")
        for announced in ({}, {"content_length": "501"}):
            with pytest.raises(RefusedError, match=r"1\.46 KiB") as caught:
                sent(spool, b"x" * 501, content_type="audio/wav", **announced)
            assert caught.value.code == "no_space"
            assert caught.value.retry_after_s
        assert spool.held_bytes == 1000
        assert len(list(spool.path.glob("upload-*"))) == 1
        let_go(kept)
        let_go(sent(spool, b"x" * 501, content_type="audio/wav"))
        assert_nothing_stays(spool)


@pytest.mark.parametrize(
    "changes",
    [{"most_bytes": 0}, {"most_files": 0}, {"idle_s": float("nan")}, {"least_rate": -1}, {"total_bytes": MIB}],
)
def test_limits_that_let_nothing_in_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="uploads: "):
        limits(**changes)


def test_fields_are_few_small_and_once(spool: Spool) -> None:
    file = a_file(b"x")
    many = [(f'name="f{i}"', b"1") for i in range(33)]
    assert len(sent(spool, form(file, *many[:32])).fields) == 32
    for upload in list(spool.path.glob("upload-*")):
        spool.remove(upload)
    refused(spool, "bad_request", form(file, *many), says="more than 32 fields")
    refused(spool, "bad_request", form(file, ('name="f"', b"x" * 4096)), says="'f' is longer than 4 KiB")
    refused(spool, "bad_request", form(file, (f'name="{"n" * 5000}"', b"")), says="longer than 4 KiB")
    refused(spool, "bad_request", form(file, *many[:1] * 2), says="'f0' is there twice")
    refused(spool, "bad_request", form(file, ('name="f"', b"\xff")), says="'f' is no UTF-8")


# What is wrong with a body.


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "cut off"),
        (form(a_file(b"x"), closing=False), "cut off: its closing boundary"),
        (form(a_file(b"x"))[:-6], "cut off"),
        (form(), "no file; send one as a part"),
        (form(('name="f"', b"1")), "no file"),
        (form(('filename="a.wav"', b"1")), "Content-Disposition with a name"),
        (b"--boundary\r\n\r\nx\r\n--boundary--\r\n", "Content-Disposition with a name"),
        (b"--boundary\r\nX: " + b"y" * 20_000, "header size exceeded"),
        (b"--boundary\r\n" + b"X: y\r\n" * 100, "header count exceeded"),
        (b"no form at all", "boundary"),
        (b"preamble\r\n" + form(a_file(b"x")), "boundary"),
        (form(('name="file"\r\nContent-Transfer-Encoding: base64', b"eA==")), "Content-Transfer-Encoding"),
    ],
)
def test_a_form_that_is_none(spool: Spool, body: bytes, says: str) -> None:
    refused(spool, "bad_request", body, says=says)
    refused(spool, "bad_request", *(body[i : i + 1] for i in range(len(body))), says=says)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", f"{FORM}{'x' * 300}"])
def test_a_boundary_that_is_none(spool: Spool, kind: str) -> None:
    assert "oundary" in str(refused(spool, "bad_request", form(a_file(b"x")), content_type=kind))


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "²", "9" * 5000, "0x10", " "])
def test_a_length_that_is_none(spool: Spool, length: str) -> None:
    refused(spool, "bad_request", b"x", says="Content-Length", content_type="audio/wav", content_length=length)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "application/x-www-form-urlencoded", "text/plain", "audio", ";"]
)
def test_other_types_are_refused_with_those_that_are_taken(spool: Spool, kind: str) -> None:
    refused(spool, "unsupported_type", b"x", says=r"multipart/form-data, .* audio/\* or video/\*", content_type=kind)


def test_a_compressed_body_is_refused(spool: Spool) -> None:
    for encoding in ("gzip", "identity, br"):
        refused(spool, "unsupported_type", b"x", says="Encoding", content_type="audio/wav", content_encoding=encoding)
    assert sent(spool, b"x", content_type="audio/wav", content_encoding="Identity")


def test_an_empty_file_is_named(spool: Spool) -> None:
    error = refused(spool, "empty", form(a_file(b"x"), a_file(b"", "none.wav")), says=r"none\.wav: the file is empty")
    assert isinstance(error, InputError)
    refused(spool, "empty", content_type="audio/wav")


PIECES = [*NEARLY_BOUNDARIES, form(a_file(b"x")), form(('name="f"', b"1")), b'file"\r\n\r\n', b"\r\n--boundary--"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=200) | st.sampled_from([*NEARLY_BOUNDARIES, form(a_file(b"x")), b'name="file"']), max_size=9
    ),
    st.sampled_from([FORM, "audio/wav", "text/plain", "multipart/form-data"]),
    st.booleans(),
    st.sampled_from(["end", "vanish"]),
)
def test_whatever_comes_is_taken_or_refused(
    spool: Spool, pieces: list[bytes], kind: str, begun: bool, then: str
) -> None:
    head = [b'--boundary\r\nContent-Disposition: form-data; name="'] if begun else []
    exchange = Exchange(spool, [*head, *pieces], content_type=kind, then=then)
    with contextlib.suppress(OvertoneError):
        let_go(asyncio.run(exchange.run()))
    if isinstance(exchange.outcome, OvertoneError):
        assert exchange.outcome.code in ("bad_request", "unsupported_type", "empty", "gone")
    assert_nothing_stays(spool)


# Clients that are slow or gone.


@pytest.mark.parametrize("kind", [FORM, "audio/wav"])
def test_a_client_that_vanishes(spool: Spool, kind: str) -> None:
    body = form(a_file(b"x" * 2 * MIB), a_file(b"y"), closing=False)
    refused(spool, "gone", body, content_type=kind, then="vanish")
    refused(spool, "gone", content_type=kind, then="vanish")


def test_a_silent_client_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(idle_s=0.05)) as spool:
        refused(
            spool,
            "upload_timeout",
            b"x" * 2 * MIB,
            says="nothing came for 0.05 s",
            content_type="audio/wav",
            then="silence",
        )
        refused(spool, "upload_timeout", form(a_file(b"x"), closing=False), then="silence")


def test_a_trickle_is_not_waited_for(tmp_path: Path) -> None:
    class Trickle(Exchange):
        async def _receive(self) -> dict[str, Any]:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b"x", "more_body": True}

    with Spool(tmp_path, limits(least_rate=MIB, grace_s=0.05)) as spool:
        with pytest.raises(RefusedError, match="at least 1 MiB per second") as caught:
            asyncio.run(Trickle(spool, (), content_type="audio/wav").run())
        assert caught.value.code == "upload_timeout"
        assert_nothing_stays(spool)


def test_the_pace_is_an_average_asked_for_after_a_grace() -> None:
    pace = RateLimit(limits(idle_s=30, least_rate=100, grace_s=10))
    assert pace.timeout_s == 10
    pace.add(500, waited_s=4)
    assert pace.timeout_s == 6  # 500 bytes would do for 5 s; the grace is longer
    pace.add(9500, waited_s=4)
    assert pace.timeout_s == 30  # 100 s are paid for, but no silence as long as that
    pace.add(0, waited_s=92)
    assert pace.timeout_s == 0
    assert "9.77 KiB came" in str(pace.refusal())
    pace = RateLimit(limits(idle_s=5, least_rate=0))
    pace.add(1, waited_s=1e6)
    assert pace.timeout_s == 5
    assert "nothing came for 5 s" in str(pace.refusal())


# The disk.


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_while_writing(spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write_some(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(growing, "write_all", write_some)
    error = refused(spool, "no_space", form(a_file(b"one"), a_file(b"two")), says=os.strerror(number))
    assert isinstance(error, RefusedError)
    assert error.retry_after_s
    assert str(spool.path) not in str(error)
    refused(spool, "no_space", b"x" * 2 * MIB, content_type="audio/wav", then="vanish")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "open", lambda self, path: os.open("/dev/full", os.O_WRONLY))
    refused(spool, "no_space", form(a_file(b"one")))


def test_a_full_disk_while_making_the_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Spool, path: Path) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Spool, "open", full)
    refused(spool, "no_space", form(a_file(b"one")))


def test_another_fault_of_the_disk_is_not_the_clients(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, data: bytes) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(growing, "write_all", broken)
    with pytest.raises(OSError, match="broken"):
        sent(spool, form(a_file(b"one")))
    assert_nothing_stays(spool)


def test_writing_leaves_the_loop_free(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(descriptor: int, data: bytes) -> None:
        begun.set()
        assert go.wait(10), "the loop never came to say so"
        os.write(descriptor, data)

    async def both() -> Received:
        asking = asyncio.create_task(Exchange(spool, [form(a_file(b"x"))], content_type=FORM).run())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        go.set()
        return await asking

    monkeypatch.setattr(growing, "write_all", held)
    assert contents(asyncio.run(both())) == [("a.wav", b"x")]


def test_a_request_that_is_cancelled_while_it_is_written_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    write_all = growing.write_all

    def held(descriptor: int, data: bytes) -> None:
        begun.set()
        assert go.wait(10)
        write_all(descriptor, data)

    async def cancelled() -> None:
        asking = asyncio.create_task(Exchange(spool, [form(a_file(b"x"), a_file(b"y"))], content_type=FORM).run())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.sleep(0.01)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await asking

    monkeypatch.setattr(growing, "write_all", held)
    asyncio.run(cancelled())
    assert_nothing_stays(spool)


def test_requests_at_once_do_not_touch_each_other(spool: Spool) -> None:
    async def all_of_them() -> list[Received | BaseException]:
        exchanges = [
            Exchange(
                spool,
                [b"%d" % i * 1000] * 50,
                then="vanish" if i % 3 == 0 else "end",
                content_type="audio/wav",
                query=f"name={i}.wav",
            )
            for i in range(12)
        ]
        return await asyncio.gather(*(exchange.run() for exchange in exchanges), return_exceptions=True)

    for i, outcome in enumerate(asyncio.run(all_of_them())):
        if i % 3 == 0:
            assert isinstance(outcome, RefusedError)
            assert outcome.code == "gone"
        else:
            assert isinstance(outcome, Received)
            assert contents(outcome) == [(f"{i}.wav", b"%d" % i * 50_000)]
            let_go(outcome)
    assert_nothing_stays(spool)
