"""Forms in pieces cut anywhere: whole files, or a refusal that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.server.uploading import (
    FORM,
    NEARLY_BOUNDARIES,
    Exchange,
    a_file,
    assert_nothing_stays,
    contents,
    form,
    let_go,
    refused,
    sent,
)
from overtone.errors import OvertoneError
from overtone.server.uploads import Spool
from overtone.server.uploads.form import CLIPPED_BYTES

CONTENT = (
    st.lists(st.sampled_from(NEARLY_BOUNDARIES) | st.binary(max_size=12), min_size=1, max_size=12)
    .map(b"".join)
    .filter(lambda content: content and b"\r\n--boundary" not in content)
)
WORD = st.text("abcäß語-_ .", min_size=1, max_size=8).map(lambda word: f"x{word}x")
FILES = st.lists(st.tuples(WORD, CONTENT), min_size=1, max_size=4)
FIELDS = st.dictionaries(WORD, st.text(st.characters(codec="utf-8"), max_size=20), max_size=3)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_part_called_file_needs_no_file_name(spool: Spool) -> None:
    received = sent(spool, form(('name="file"', b"x"), ('name="other"', b"y")))
    assert contents(received) == [("upload", b"x")]
    assert received.fields == {"other": "y"}


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


def test_of_fields_that_may_be_of_any_length_a_little_is_kept(spool: Spool) -> None:
    audio, prompt = b"data:audio/wav;base64," + b"A" * 300_000, "好".encode() * 100_000
    body = form(
        a_file(b"x"),
        *[('name="known_speaker_references[]"', audio)] * 4,
        ('name="prompt"', prompt),
        ('name="keep"', b"1"),
    )
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    received = sent(spool, *pieces)
    kept = received.fields["prompt"]
    assert set(kept) == {"好"}
    assert len(kept.encode()) == CLIPPED_BYTES["prompt"] // 3 * 3
    assert received.fields["known_speaker_references[]"].strip() == ""
    assert received.fields["keep"] == "1"
    let_go(received)
    received = sent(spool, form(a_file(b"x"), ('name="prompt"', b"short")))
    assert received.fields == {"prompt": "short"}
    let_go(received)
    refused(spool, "bad_request", form(a_file(b"x"), ('name="prompt"', b"\xff")), says="'prompt' is no UTF-8")


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


PIECES = [*NEARLY_BOUNDARIES, form(a_file(b"x")), form(('name="f"', b"1")), b'file"\r\n\r\n', b"\r\n--boundary--"]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
