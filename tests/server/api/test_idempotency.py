"""Keys of requests, as headers have them, and what they stand for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from overtone.errors import UsageError
from overtone.server.api.idempotency import MOST_CHARACTERS, PARAMETER, idempotency_key, request_digest
from overtone.server.uploads import Upload


def request(*values: str) -> Request:
    headers = [(b"idempotency-key", value.encode("latin-1")) for value in values]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('  "a b, c; d"  ', "a b, c; d"),
        (r'"a \"b\" \\c"', r'a "b" \c'),
        ("order/12:a=b", "order/12:a=b"),
        ("x" * MOST_CHARACTERS, "x" * MOST_CHARACTERS),
    ],
)
def test_keys(value: str, key: str) -> None:
    assert idempotency_key(request(value)) == key
    assert re.search(PARAMETER["schema"]["pattern"], value.strip())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([""], "malformed"),
        (['""'], "malformed"),
        (['"open'], "malformed"),
        ([r'"a\b"'], "malformed"),
        (["a b"], "malformed"),
        (["a,b"], "malformed"),
        (['"a";b=c'], "malformed"),
        (["caf\u00e9"], "malformed"),
        (["x" * (MOST_CHARACTERS + 1)], "256 characters; 255 are the most"),
        (["a", "a"], "2 times"),
    ],
)
def test_what_is_no_key(values: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        idempotency_key(request(*values))


def test_a_request_without_a_key() -> None:
    assert idempotency_key(request()) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=100))
def test_any_printable_text_can_be_a_key(key: str) -> None:
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert idempotency_key(request(quoted)) == key


def upload(name: str = "a.wav", digest: str = "abc", size_bytes: int = 3) -> Upload:
    return Upload(Path("x"), name, size_bytes, digest, lambda _: None)


def test_requests_are_told_apart_by_what_they_ask_of_which_files() -> None:
    asked = {"options": {"window": 5.0, "hop": 1.0}, "embedding": False}
    same = {"embedding": False, "options": {"hop": 1.0, "window": 5.0}}
    assert request_digest(asked, [upload()]) == request_digest(same, [upload()])
    others = [
        (asked, [upload("b.wav")]),
        (asked, [upload(digest="abd")]),
        (asked, [upload(size_bytes=4)]),
        (asked, [upload(), upload()]),
        ({**asked, "embedding": True}, [upload()]),
        ({**asked, "options": {"window": 5.0}}, [upload()]),
    ]
    digests = {request_digest(*other) for other in (*others, (asked, [upload()]))}
    assert len(digests) == 7
