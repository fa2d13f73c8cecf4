"""Names of uploads are made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.server.uploading import a_file, form, sent
from overtone.server.uploads import Spool
from overtone.server.uploads.names import MOST_CHARACTERS, sanitize_filename


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
