"""What the user typed becomes inputs, lazily, in order, each once; what cannot be used says why."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from overtone.audio.inputs import SUFFIXES, Entry, FailedInput, Input, expand


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"x")


def sources(*items: str) -> list[str]:
    entries = list(expand(items))
    assert all(isinstance(entry, Input) for entry in entries), entries
    return [entry.source for entry in entries]


def failures(*items: str) -> list[tuple[str, str]]:
    return [(entry.source, entry.error.code) for entry in expand(items) if isinstance(entry, FailedInput)]


def test_files_in_the_order_named() -> None:
    make("b.wav", "a.txt")
    assert list(expand(["b.wav", "a.txt", "-"])) == [Input("b.wav", "b.wav"), Input("a.txt", "a.txt"), Input("-", None)]


def test_each_once() -> None:
    make("a.wav", "d/b.wav")
    Path("link.wav").symlink_to("a.wav")
    assert sources("a.wav", "./a.wav", "link.wav", "-", "d", "d/b.wav", "-") == ["a.wav", "-", "d/b.wav"]
    again: list[Input] = []
    assert len(list(expand(["a.wav", "./a.wav", "missing.wav", "missing.wav", "link.wav"], again.append))) == 3
    assert [entry.source for entry in again] == ["./a.wav", "link.wav"]


def test_folders_are_sorted_and_deep() -> None:
    make("d/b.wav", "d/a/z.MP3", "d/a/y.flac", "d/c.txt", "d/.hidden.wav", "d/.git/x.wav", "d/noend", "d/wav")
    assert sources("d") == ["d/a/y.flac", "d/a/z.MP3", "d/b.wav"]
    deep = "deep" + "/n" * 400
    make(f"{deep}/x.ogg")
    assert sources("deep") == [f"{deep}/x.ogg"]


def test_a_folder_without_audio() -> None:
    make("d/c.txt")
    [entry] = expand(["d"])
    assert isinstance(entry, FailedInput)
    assert entry.error.code == "no_audio"
    assert all(suffix in str(entry.error) for suffix in SUFFIXES)


def test_links_are_followed_but_not_in_circles() -> None:
    make("d/a.wav", "other/b.wav", "d/sub/c.wav")
    Path("d/link").symlink_to("../other")
    Path("d/sub/up").symlink_to("../../d")
    entries = list(expand(["d"]))
    assert [entry.source for entry in entries] == ["d/a.wav", "d/link/b.wav", "d/sub/c.wav", "d/sub/up"]
    assert failures("d") == [("d/sub/up", "directory_loop")]
    Path("self").symlink_to("self")
    assert failures("self") == [("self", "unreadable")]
    Path("d/gone.wav").symlink_to("nowhere")
    Path("d/gone.txt").symlink_to("nowhere")
    assert failures("d") == [("d/gone.wav", "not_found"), ("d/sub/up", "directory_loop")]


def test_an_unreadable_folder_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make("d/a.wav", "d/no/b.wav", "d/z.wav")
    listdir = os.listdir

    def deny(path: str) -> list[str]:  # root may list anything, so the refusal is played
        if path == "d/no":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", deny)
    entries = list(expand(["d"]))
    assert [entry.source for entry in entries] == ["d/a.wav", "d/no", "d/z.wav"]
    assert failures("d") == [("d/no", "unreadable")]


def test_only_files_are_taken_from_folders() -> None:
    make("d/a.wav")
    os.mkfifo("d/pipe.wav")  # opening it would wait for ever
    assert sources("d") == ["d/a.wav"]


def test_what_is_not_there() -> None:
    assert failures("no.wav", "no/", "a\0b", "", "@no.txt", "no.scp") == [
        ("no.wav", "not_found"),
        ("no/", "not_found"),
        ("a\0b", "unreadable"),
        ("", "not_found"),
        ("@no.txt", "not_found"),
        ("no.scp", "not_found"),
    ]


def test_names_that_are_no_utf8() -> None:
    name = os.fsdecode(b"d/caf\xe9.wav")
    make(name)
    assert sources("d", name) == [name]
    Path("list.txt").write_bytes(b"d/caf\xe9.wav\n")
    assert sources("@list.txt") == [name]
    [entry] = expand([os.fsdecode(b"gone\xe9")])
    assert isinstance(entry, FailedInput)
    assert str(entry.error).startswith("gone\\udce9: ")


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_lists(bom: bytes) -> None:
    make("here.wav", "lists/beside.wav", "lists/d/ü.wav", "both.wav", "lists/both.wav")
    text = "here.wav\r\n\n# a comment\n  beside.wav \nd\nboth.wav\nhere.wav\ngone.wav\n@other.txt\n"
    Path("lists/l.txt").write_bytes(bom + text.encode())
    entries = list(expand(["@lists/l.txt"]))
    paths = [entry.path for entry in entries if isinstance(entry, Input)]
    assert paths == ["here.wav", "lists/beside.wav", "lists/d/ü.wav", "both.wav"]
    assert failures("@lists/l.txt") == [("gone.wav", "not_found"), ("@other.txt", "bad_list")]
    assert "lists/l.txt:9" in str(entries[-1].error)  # type: ignore[union-attr]


def test_lists_that_are_none() -> None:
    make("d/a.wav")
    Path("empty.txt").write_text("\n# nothing\n", encoding="utf-8")
    Path("binary.txt").write_bytes(b"\xff" * 200_000)
    assert failures("@empty.txt", "@d", "@binary.txt") == [
        ("@empty.txt", "empty"),
        ("@d", "unreadable"),
        ("@binary.txt", "bad_list"),
    ]


def test_wav_scp() -> None:
    make("data/a.wav", "b c.wav", "odd:12")
    marker = Path("ran")
    lines = [
        "utt1 a.wav",
        "utt2\tb c.wav",
        "utt3 odd:12",
        "utt4 a.wav",
        "utt4 a.wav",
        f"utt5 touch {marker} |",
        f"utt6 | touch {marker}",
        "utt7 feats.ark:1234",
        "utt8 feats.ark:1234[0:9]",
        "utt9 gone.wav",
        "utt10",
        "utt11 data",
    ]
    Path("data/wav.scp").write_text("\n".join(lines), encoding="utf-8")
    entries = list(expand(["data/wav.scp"]))
    assert entries[:4] == [
        Input("data/a.wav", "data/a.wav", "utt1"),
        Input("b c.wav", "b c.wav", "utt2"),
        Input("odd:12", "odd:12", "utt3"),
        Input("data/a.wav", "data/a.wav", "utt4"),
    ]
    codes = [(entry.id, entry.error.code) for entry in entries[4:] if isinstance(entry, FailedInput)]
    assert codes[:4] == [(key, "bad_list") for key in ("utt5", "utt6", "utt7", "utt8")]
    assert codes[4:] == [("utt9", "not_found"), ("utt10", "bad_list"), ("utt11", "unreadable")]
    assert not marker.exists()
    assert len(list(expand(["data/wav.scp", "data/a.wav"]))) == len(entries) + 1  # the same file without an id


def test_lazy() -> None:
    make("first.wav")

    def items() -> list[str]:
        raise AssertionError("asked for too early")

    def typed() -> object:
        yield "first.wav"
        yield from items()

    first: list[Entry] = list(islice(expand(typed()), 1))  # type: ignore[arg-type]
    assert first == [Input("first.wav", "first.wav")]
