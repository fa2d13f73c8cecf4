"""JSON from strangers: what is read, what is refused, and that nothing else comes of any text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overtone.system.documents import MAX_DEPTH, DocumentError, parse_json, read_json, read_text, shown


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "Expecting value, line 1, column 1"),
        ('{\n"a": }', "Expecting value, line 2, column 6"),
        ("[" * 100_000, "deeper than 64 levels, line 1"),
        ("[\n" * 100_000, "deeper than 64 levels, line 65"),
        ('{"a": ' * 100_000, "deeper than 64 levels"),
        ("[" + "1," * 2_000_000 + "1]", "more than 1,048,576 values"),
        ("[" + "[]," * 2_000_000 + "1]", "more than 1,048,576 values"),
        ("9" * 5000, "a number of 5,000 characters is not read"),
        ("-1." + "9" * 5000, "is not read"),
        ("1e999", "the number 1e999 is not read"),
        ("NaN", "NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number of JSON"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' is there twice"),
        (r'["\ud800"]', r"the escape '\\ud800' is half of a character"),
        (r'{"\udc00": 1}', "half of a character"),
        (b'"\xff"', "not UTF-8: byte 0xff at 1"),
        ('"' + "a" * 100, "Unterminated string"),
    ],
    ids=range(17),
)
def test_what_is_not_read_is_one_error_that_says_why(text: str | bytes, word: str) -> None:
    with pytest.raises(DocumentError, match=word) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (r'"\ud83d\ude00"', "😀"),
        (json.dumps("[{," * 1_000_000), "[{," * 1_000_000),  # in quotes they open nothing
        (json.dumps(['\\"[' * 100, "]"]), ['\\"[' * 100, "]"]),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
        ("[" + "[]," * 1000 + "1]", None),
        ("1e308", 1e308),
        (str(-(1 << 63)), -(1 << 63)),
    ],
    ids=range(8),
)
def test_what_is_within_the_limits_is_read_as_ever(text: str | bytes, value: Any) -> None:
    assert parse_json(text) == (json.loads(text) if value is None else value)


def test_limits_are_the_callers() -> None:
    assert parse_json("[[1, 2]]", max_values=4, max_depth=2) == [[1, 2]]
    with pytest.raises(DocumentError, match="more than 3 values"):
        parse_json("[[1, 2]]", max_values=3)
    with pytest.raises(DocumentError, match="deeper than 1 levels"):
        parse_json("[[1, 2]]", max_depth=1)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=_VALUES, limits=st.tuples(st.integers(1, 12), st.integers(1, 4)))
@example(value=['"\\', "[,", {"\\": '\\"'}], limits=(2, 1))
def test_limits_count_what_is_there_whatever_is_in_quotes(value: Any, limits: tuple[int, int]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    most, deepest = limits
    commas, opened, depth = 0, 0, 0
    pending = [(value, 0)]
    while pending:
        one, level = pending.pop()
        if isinstance(one, list | dict):
            opened, depth = opened + 1, max(depth, level + 1)
            commas += max(0, len(one) - 1)
            pending += [(inner, level + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    if commas + opened < most and depth <= deepest:
        assert parse_json(text, max_values=most, max_depth=deepest) == value
    else:
        with pytest.raises(DocumentError, match=r"more than|deeper than"):
            parse_json(text, max_values=most, max_depth=deepest)


_PIECES = st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", ":", "1", "-", "e", "NaN", "\\u", "d800", "\x00", " "])


@given(st.lists(_PIECES, max_size=40).map("".join) | st.text() | st.binary())
@example(b"\xff\xfe")
def test_any_text_is_a_value_or_one_error(text: str | bytes) -> None:
    message = ""
    try:
        found = parse_json(text)
    except DocumentError as error:
        message = str(error)
    else:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    assert "\n" not in message


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1,\r\n2]")
    assert read_json(path, 1 << 10) == [1, 2]
    assert read_text(path, 1 << 10) == "[1,\n2]"
    path.write_bytes(b" " * 1025)
    for read in (read_json, read_text):
        with pytest.raises(DocumentError, match="it is larger than 1 KiB"):
            read(path, 1 << 10)
    path.write_bytes(b"a\xff")
    with pytest.raises(DocumentError, match="it is not UTF-8: byte 0xff at 1"):
        read_text(path, 1 << 10)
    with pytest.raises(OSError, match="No such file"):
        read_json(tmp_path / "b.json", 1)


@pytest.mark.parametrize("data", [b"", b"a\nb", b"a\r\nb\rc\n\r\n", "é\r\n情".encode(), b"\xef\xbb\xbfa", b"a\r"])
def test_a_text_is_the_one_that_open_gives(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    assert read_text(path, 100) == path.read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (16_000, "16000"),
        (math.inf, "inf"),
        ("a\n", r"'a\n'"),
        ("\ud800", r"'\ud800'"),
        (10**5000, "an integer of 16610 bits"),
        ([10**5000], "[an integer of 16610 bits]"),
        ([1, [2, [3]]], "[1, [2, [...]]]"),
    ],
    ids=range(8),
)
def test_a_value_is_shown_as_python_writes_it_if_it_is_short(value: object, text: str) -> None:
    assert shown(value) == text


@given(_VALUES)
@example("a" * 1_000_000)
@example([["a" * 1000] * 100] * 100)
@example(10**4000)
def test_any_value_is_shown_in_one_short_line(value: object) -> None:
    assert len(shown(value)) < 4000
    assert "\n" not in shown(value)
    shown(value).encode()
