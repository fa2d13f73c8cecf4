"""What a converted folder says of itself, when anybody may have written it."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import CheckpointError
from overtone.models.converted import FORMAT, Agreement, Converted, read, write

SAID: dict[str, Any] = {
    "format": FORMAT,
    "precision": "int8",
    "source": "ab" * 32,
    "made_with": {"overtone": "1.0", "openvino": "2025.1"},
    "agreement": {"audio": "speech", "windows": 9, "labels": 0.9, "score": 0.01, "cosine": 0.99, "tokens": None},
    "sizes": {"encoder.xml": 3, "encoder.bin": 0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("converted")
    (place / "encoder.xml").write_bytes(b"abc")
    (place / "encoder.bin").write_bytes(b"")
    return place


def told(folder: Path, said: bytes) -> str:
    """The message of the error; empty where it is read."""
    (folder / "overtone.json").write_bytes(said)
    try:
        found = read(folder, "here")
    except CheckpointError as error:
        message = str(error)
    else:
        assert found is not None
        assert set(found.files) <= {"encoder.xml", "encoder.bin"}
        assert found.graphs
        message = ""
        str(found.agreement)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    "agreement",
    [
        None,
        Agreement("a", 3, 0.5, 0.25, 0.9),
        Agreement("a", 3, None, None, 0.9),
        Agreement("a", 3, None, None, None, tokens=0.5),
    ],
)
def test_what_is_written_is_read(folder: Path, agreement: Agreement | None) -> None:
    made = Converted(folder, "bf16", "ab", {"overtone": "1"}, agreement, ("encoder.bin", "encoder.xml"))
    write(made)
    checksums = {part: f"{zlib.crc32((folder / part).read_bytes()):08x}" for part in made.files}
    assert read(folder, "here") == dataclasses.replace(made, checksums=checksums)


def changed(**values: Any) -> bytes:
    return json.dumps(SAID | values).encode()


def measured(**values: Any) -> bytes:
    return changed(agreement=SAID["agreement"] | values)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "it is [], not a mapping"),
        (b"5", "it is 5, not a mapping"),
        (b"\xff", "it is not UTF-8"),
        (b"[" * 60_000, "deeper than 64 levels"),
        (b"[" + b"1," * 2000 + b"1]", "more than 1,000 values"),
        (b" " * 70_000, "it is larger than 64 KiB"),
        (b'{"format": ' + b"9" * 5000 + b"}", "a number of 5,000 characters"),
        (changed(format=99), "was converted in format 99"),
        (changed(format=True), "format is True, not a number"),
        (changed(format=[2]), "format is [2], not a number"),
        (changed(precision=8), "precision is 8, not text"),
        (changed(precision="fp64"), "precision is 'fp64', none of fp32, bf16, int8"),
        (changed(source=None), "source is None, not text"),
        (changed(made_with=[]), "made_with is [], not a mapping"),
        (changed(made_with={"a": 1}), "a is 1, not a version"),
        (changed(sizes=[]), "sizes is [], not a mapping"),
        (changed(sizes={}), "it names no model"),
        (changed(sizes={"encoder.xml": "3"}), "encoder.xml is '3', not a number of bytes"),
        (changed(sizes={"encoder.xml": -3}), "encoder.xml is -3, not a number of bytes"),
        (changed(sizes={"encoder.xml": True}), "encoder.xml is True, not a number of bytes"),
        (changed(sizes={"../a.xml": 3}), "it names '../a.xml', outside of its folder"),
        (changed(sizes={"..": 3, "a.xml": 1}), "it names '..', outside of its folder"),
        (changed(sizes={"a" * 300 + ".xml": 3}), "it names 'aaa"),
        (changed(sizes={"a\0.xml": 3}), "it names 'a\\x00.xml'"),
        (changed(sizes={"decoder.xml": 3}), "decoder.xml is missing beside"),
        (changed(sizes={"encoder.xml": 4}), "encoder.xml has 3 bytes instead of 4"),
        (changed(agreement=[]), "agreement is [], not a mapping"),
        (measured(audio=1), "audio is 1, not text"),
        (measured(windows="9"), "windows is '9', not a number"),
        (measured(labels="a"), "labels is 'a', not a number"),
        (measured(score=None), "agreement has labels without a score"),
        (measured(cosine=None), "agreement has neither cosine nor tokens"),
        (measured(more=1), "agreement has 'more', which is not known"),
    ],
    ids=range(34),
)
def test_what_is_odd_is_named_with_its_key(folder: Path, said: bytes, word: str) -> None:
    found = told(folder, said)
    assert found.startswith("here: ")
    assert word in found
    assert "convert" in found


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [*SAID, *(f"agreement.{key}" for key in SAID["agreement"]), "sizes.encoder.xml", "made_with.a", "more"]


@given(key=st.sampled_from(_KEYS), value=_VALUES)
def test_any_value_anywhere_is_read_or_one_error(folder: Path, key: str, value: Any) -> None:
    section, _, within = key.partition(".")
    said = SAID | {section: SAID[section] | {within: value} if within else value}
    told(folder, json.dumps(said).encode())


@given(said=st.binary(max_size=60) | _VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_one_error(folder: Path, said: bytes) -> None:
    told(folder, said)
