"""Tokens as text: the text of FunASR's own rules, and words that know their tokens."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.tokenizers.characters import CharTokenizer

TOKENS = [
    "<blank>",
    "<s>",
    "</s>",
    *"的一是不了",
    *"0123",
    "the",
    "it's",
    "sea",
    "café",
    *"abix",
    "sen@@",
    "si@@",
    "<unk>",
]


def checkpoint(folder: Path, tokens: Any = TOKENS) -> Checkpoint:
    (folder / "tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    return Checkpoint("here", folder, {}, None, folder / "model.pt")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> CharTokenizer:
    return CharTokenizer(checkpoint(tmp_path_factory.mktemp("tokens")))


@pytest.fixture(scope="module")
def rules() -> Any:
    """FunASR's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("funasr.utils.postprocess_utils")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("的 一 是", "的一是"),
        ("the sea", "the sea"),
        ("的 the sea 一", "的the sea一"),
        ("sen@@ si@@ the 的", "sensithe的"),
        ("a b x", "ABX"),
        ("a", "a"),
        ("的 i b 1 <unk> 是", "的IB1是"),
        ("", ""),
        ("sen@@", ""),
    ],
)
def test_text_reads_as_it_would_be_written(tokens: CharTokenizer, said: str, text: str) -> None:
    assert tokens.text([tokens.id(token) for token in said.split()]) == text


def test_words_know_their_tokens(tokens: CharTokenizer) -> None:
    said = ["的", "sen@@", "si@@", "the", "a", "b", "<unk>", "1"]
    words = [("的", 0, 0), ("sensithe", 1, 3), ("AB", 4, 5), ("1", 7, 7)]
    assert tokens.words([tokens.id(token) for token in said]) == words


@given(st.lists(st.sampled_from([token for token in TOKENS[3:] if token != "<unk>"]), max_size=12))
def test_any_tokens_read_as_funasr_reads_them(rules: Any, tokens: CharTokenizer, said: list[str]) -> None:
    ids = [tokens.id(token) for token in said]
    assert tokens.text(ids) == rules.sentence_postprocess(said)[0]
    times = [[100 * place, 100 * place + 50] for place in range(len(said))]
    text, merged, words = rules.sentence_postprocess(said, times)
    mine = tokens.words(ids)
    assert " ".join(word for word, _, _ in mine).strip() == text
    assert [word for word, _, _ in mine] == words
    assert [[100 * first, 100 * last + 50] for _, first, last in mine] == merged


def test_what_is_not_a_token_is_unknown(tokens: CharTokenizer) -> None:
    assert tokens.id("nothing of the kind") == tokens.id("<unk>") == len(tokens) - 1


def test_a_line_for_each_token_is_read_as_well(tmp_path: Path) -> None:
    made = checkpoint(tmp_path)
    (tmp_path / "tokens.json").unlink()
    (tmp_path / "tokens.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    assert CharTokenizer(made).text([3, 4]) == "的一"


@pytest.mark.parametrize("broken", [{"the": 1}, ["the", 1, "<unk>"], ["the", "the", "<unk>"], ["the"]])
def test_broken_lists_are_refused(tmp_path: Path, broken: Any) -> None:
    with pytest.raises(CheckpointError, match="here"):
        CharTokenizer(checkpoint(tmp_path, broken))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    made = checkpoint(tmp_path)
    (tmp_path / "tokens.json").write_text("[", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read"):
        CharTokenizer(made)
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokens\.json"):
        CharTokenizer(made)
