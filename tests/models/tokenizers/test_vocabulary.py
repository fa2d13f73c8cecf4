"""Vocabularies in the two files that checkpoints have them in."""

import json
from pathlib import Path

import pytest

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.tokenizers.vocabulary import read_vocabulary

WORDS = ["<blank>", "的", "the", "x\u2028y", "<unk>"]
"""U+2028 separates lines for `str.splitlines`; vocabularies hold such characters in words."""


def read(folder: Path) -> dict[str, int]:
    return read_vocabulary(Checkpoint("here", folder, {}, None, folder / "model.pt"))


LINES = "\n".join(WORDS)


@pytest.mark.parametrize(
    ("name", "text"), [("tokens.json", json.dumps(WORDS)), ("tokens.txt", LINES), ("tokens.txt", LINES + "\n")]
)
def test_words_have_their_places_as_ids_in_order(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    ids = read(tmp_path)
    assert list(ids.values()) == list(range(5))
    assert [ids["<blank>"], ids["的"], ids["<unk>"]] == [0, 1, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("{}", "not a list"),
        ('["<unk>", 3]', "not a list of words: 3 is number 1"),
        (json.dumps(["<unk>", "a" * 257]), "holds the word 'aaa.*256 characters at most"),
        ('["<unk>", "\\ud800"]', "cannot be read .*half of a character"),
        (json.dumps(["<unk>"] * (1 << 20)), "cannot be read .*more than 1,048,576 values"),
        ('["a", "b"]', "must hold <unk>"),
        ('["<unk>", "a", "a"]', "each word once"),
    ],
)
def test_a_broken_list_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tokens.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"here: tokens\.json .*{said}"):
        read(tmp_path)


def test_a_huge_list_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "tokens.json").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(CheckpointError, match="larger than 16 MiB"):
        read(tmp_path)


def test_a_list_of_too_many_lines_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("\n" * ((1 << 20) + 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"here: tokens\.txt holds more than 1,048,576 words"):
        read(tmp_path)
