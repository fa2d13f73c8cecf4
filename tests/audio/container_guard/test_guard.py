"""The guard as a whole: nothing ordinary is changed, and nothing at all makes it fail or read without end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import fuzz_material, fuzzing
from helpers.clips import CLIPS
from helpers.headers import Counted, edits_of
from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.guard import find_edits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

RECORDINGS = sorted(path for path in (CLIPS / "speech").rglob("*.*") if path.suffix not in (".md", ".txt"))

STARTS = (
    *(b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0AVI LIST", b"RF64\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0"),
    *(
        b"riff\x2e\x91\xcf\x11",
        b"fLaC",
        b"OggS\0\2",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff",
        b"ID3\3\0\0\0\0\0\x10",
    ),
    *(b"\0\0\0\x08ftyp\0\0\1\0moov\0\0\0\x50trak", b"\0\0\0\0moof", b"\0\0\0\0moov\0\0\0\x40udta", b"TTA1", b""),
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14),
)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_is_left_as_it_is(path: Path) -> None:
    assert edits_of(path.read_bytes()) == Edits()


def test_there_are_files_of_many_containers() -> None:
    """Of which PyAV can write at least so many in each of its releases."""
    assert len(fuzz_material.KINDS) > 40
    assert sum(data[:4] != b"RIFF" for _, data in fuzz_material.originals()) >= 25


def test_every_container_is_left_as_it_is() -> None:
    for ending, data in fuzz_material.originals():
        assert edits_of(data) == Edits(), ending
        assert edits_of(data, size_known=False) == Edits(), ending


def look(data: bytes, size: int | None) -> None:
    """Look at it; only what is documented is raised, and only so much is read."""
    counted = Counted(data)
    with suppress(HeaderError):
        find_edits(HeaderView(counted, size))
    assert counted.reads <= limits.PARTS
    assert counted.read_bytes < 100_000 + 70 * len(data)


@settings(max_examples=300)
@given(st.sampled_from(STARTS), st.binary(max_size=300), st.integers(0, 40), st.sampled_from([None, 0, 100, 1 << 40]))
def test_any_bytes_are_looked_at(start: bytes, body: bytes, repeat: int, size: int | None) -> None:
    look(start + body * (repeat + 1), size)


@settings(max_examples=300)
@given(st.integers(0, 1 << 32))
def test_any_damaged_file_is_looked_at(number: int) -> None:
    _, data = fuzzing.damaged(number)
    look(data, len(data))
    look(data, None)


def test_a_header_of_parts_without_end_is_refused() -> None:
    parts = b"RIFF\0\0\0\0WAVE" + b"abcd\0\0\0\0" * limits.PARTS
    with pytest.raises(HeaderError, match="more than 100,000 parts"):
        edits_of(parts)


@given(
    st.dictionaries(st.integers(0, 60), st.binary(min_size=1, max_size=9), max_size=4),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_patches_are_shown_however_a_file_is_read(patches: dict[int, bytes], cuts: list[int]) -> None:
    data = bytes(range(64))
    edits = Edits(patches=patches)
    whole = edits.applied(data, 0)
    parts, at = [], 0
    for size in (*cuts, len(data)):
        parts.append(edits.applied(data[at : at + size], at))
        at = min(at + size, len(data))
    assert b"".join(parts) == whole
    meant = bytearray(data)
    for offset, patch in patches.items():
        meant[offset : offset + len(patch)] = patch
    assert whole == bytes(meant[:64])
