"""Lists as `generate` takes them: what is read, and one error for a line that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overtone.compat.hotwords import hotwords_of
from overtone.compat.inputs import listed, named
from overtone.errors import Code, InputError


def test_an_ending_in_capitals_is_the_same_list(tmp_path: Path) -> None:
    path = tmp_path / "LIST.JSONL"
    path.write_text(json.dumps({"key": "a", "source": "a b.wav"}) + "\n\n", encoding="utf-8")
    assert list(listed(str(path))) == [("a", "a b.wav")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wav.scp", "a a b.wav\nb c.wav\n"),
        ("list.txt", "a a b.wav\nb c.wav\n"),
        ("list.text", "a a b.wav\nb c.wav\n"),
        ("list.json", "a a b.wav\nb c.wav\n"),
        ("list.json", '{"key": "a", "source": "a b.wav"}\n{"key": "b", "source": "c.wav"}\n'),
        ("list.jsonl", '{"key": "a", "source": "a b.wav"}\n{"key": "b", "source": "c.wav"}\n'),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_mark_before_the_text_is_no_part_of_the_first_key(tmp_path: Path, name: str, text: str, mark: str) -> None:
    (tmp_path / name).write_text(mark + text, encoding="utf-8")
    assert list(named(str(tmp_path / name), None, 16_000)) == [("a", "a b.wav"), ("b", "c.wav")]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_mark_before_the_text_is_no_part_of_the_first_hot_word(tmp_path: Path, mark: str) -> None:
    (tmp_path / "words.txt").write_text(f"{mark}the cat\n\nsea\n", encoding="utf-8")
    assert hotwords_of(str(tmp_path / "words.txt")) == ("the cat", "sea")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[" * 100_000, "nests deeper"),
        ('{"source": ' + "9" * 100_000 + "}", "100,000 characters"),
        ("[]", "line 2 is no JSON object with a 'source'"),
        ('"source"', "line 2 is no JSON object with a 'source'"),
        ('{"key": "a"}', "line 2 is no JSON object with a 'source'"),
        ('{"source": ', "line 2 is no JSON object with a 'source'"),
        ('{"source": "\\ud800"}', "half of a character"),
        ("a" * (1 << 20), "line 2 is too long"),
    ],
    ids=["deep", "a long number", "a list", "a text", "no source", "half of it", "half of a character", "a long line"],
)
def test_a_line_that_is_none_is_one_error_that_names_it(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('{"source": "a.wav"}\n' + line + "\n", encoding="utf-8")
    lines = listed(str(path))
    assert next(lines)[1] == "a.wav"
    with pytest.raises(InputError, match=said) as caught:
        next(lines)
    assert caught.value.code == Code.BAD_LIST


@pytest.mark.parametrize("name", ["list.jsonl", "list.txt", "wav.scp"])
def test_a_list_that_is_no_text_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a.wav b\xff\n")
    with pytest.raises(InputError, match="the list cannot be read") as caught:
        list(listed(str(tmp_path / name)))
    assert caught.value.code == Code.BAD_LIST
