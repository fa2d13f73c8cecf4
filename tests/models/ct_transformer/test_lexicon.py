"""Chinese cut into words: against jieba itself, and as it comes."""

from __future__ import annotations

import itertools
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracles import ct_transformer as oracle
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.ct_transformer import lexicon
from overtone.models.ct_transformer.lexicon import Lexicon, read_lexicon
from overtone.models.ct_transformer.tokenizer import Characters, Dictionary, marks_of_characters, marks_of_words


@pytest.fixture(scope="module")
def by_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("words") / "model", dictionary=True)


@pytest.fixture(scope="module")
def ours(by_words: Path) -> Lexicon:
    pytest.importorskip("jieba", reason="jieba, whose dictionary it is, is not installed")
    found = read_lexicon(checkpoints.read(by_words, name="punc"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def theirs(by_words: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jieba = pytest.importorskip("jieba", reason="jieba, the oracle, is not installed")
    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()
    with (by_words / lexicon.ADDED).open("rb") as file:  # jieba leaves open what it opens itself
        tokenizer.load_userdict(file)
    return tokenizer


def test_words_are_those_of_jieba(ours: Lexicon, theirs: Any) -> None:
    assert theirs.total == ours._total
    random = np.random.default_rng(1)
    words = [word for word, frequency in theirs.FREQ.items() if frequency]
    others = ["3D打印", "T恤", oracle.CHINESE[:9], "abc", "7", "x", "、", "é", "C++", "100%", "3.5", "한", "𠀀"]
    for _ in range(500):
        chosen = [
            str(random.choice(others)) if random.random() < 0.15 else words[random.integers(len(words))]
            for _ in range(random.integers(1, 30))
        ]
        text = "".join(part[: random.integers(1, len(part) + 1)] for part in chosen)
        assert list(ours.cut(text)) == list(theirs.cut(text, HMM=False)), text


TOY = Lexicon(
    ["ab 3", "abc 5", "bcde 2", "cd 40", "d 9", "甲乙 4", "乙丙丁 6", "丙 50", "5号 3"], ["丁戊", "戊己 7 n", "x1 9"]
)


@settings(max_examples=300)
@given(
    words=st.lists(st.text("abcde甲乙丙丁戊己5号1、é", min_size=1, max_size=4), max_size=25),
    cuts=st.lists(st.integers(0, 25), max_size=6),
)
def test_pieces_are_the_same_however_words_come(words: list[str], cuts: list[int]) -> None:
    def pieces(bounds: list[int]) -> list[Any]:
        splitter = Dictionary(TOY)
        parts = [splitter.push(words[start:stop]) for start, stop in itertools.pairwise(bounds)]
        return [piece for part in [*parts, splitter.finish()] for piece in part]

    once = pieces([0, len(words)])
    assert once == pieces([0, *sorted(min(cut, len(words)) for cut in cuts), len(words)])
    assert "".join(piece.text for piece in once) == "".join(words)
    assert sum(piece.words for piece in once) == len(words)
    marks = list(marks_of_words(once, ["。"] * len(once)))
    assert len(marks) == len(words)
    assert not words or marks[-1] == "。"


def test_what_is_certain_is_given_at_once() -> None:
    splitter = Dictionary(TOY)
    assert [piece.text for piece in splitter.push(["甲", "乙"])] == []  # 乙 may begin a word
    assert [piece.text for piece in splitter.push(["丙", "甲"])] == ["甲乙", "丙"]
    assert [piece.text for piece in splitter.push(["ab", "c"])] == ["甲", "ab", "c"]  # English stays as it is
    assert splitter.finish() == []


def test_long_text_takes_time_that_grows_with_its_length() -> None:
    text = "甲乙丙丁戊己" * 20_000
    assert sum(map(len, TOY.cut(text))) == len(text)
    assert TOY.certain(text) > len(text) - 10


def test_characters_are_pieces() -> None:
    pieces = Characters().push(["ab甲乙c", "丙"])
    assert [tuple(piece) for piece in pieces] == [
        ("ab", 0, False),
        ("甲", 0, False),
        ("乙", 0, False),
        ("c", 1, True),
        ("丙", 1, True),
    ]


def test_a_piece_of_three_characters_has_three_marks() -> None:
    pieces = Dictionary(TOY)
    cut = [*pieces.push(["乙", "丙丁", "x1"]), *pieces.finish()]
    assert [piece.text for piece in cut] == ["乙丙丁", "x1"]
    assert list(marks_of_characters(cut, ["，", "。"])) == ["", "", "，", "。"]
    assert list(marks_of_words(cut, ["，", "。"])) == ["", "，", "。"]


def test_a_checkpoint_without_words_of_its_own_cuts_into_characters(tmp_path: Path) -> None:
    assert read_lexicon(checkpoints.read(oracle.publish(tmp_path / "model"), name="punc")) is None


def test_without_jieba_there_is_a_remedy(by_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install jieba"):
        read_lexicon(checkpoints.read(by_words, name="punc"))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("a" * 65, "'aaa.*has more than 64 characters"),
        ("a " + "9" * 60, "the frequency of 'a' is 999"),
        ("a " + "9" * 5000, "digits"),
    ],
    ids=["long", "frequent", "digits"],
)
def test_a_word_that_would_take_all_memory_is_refused(line: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Lexicon(["a 5"], [line])


@given(added=st.lists(st.text(max_size=70) | st.from_regex(r"[a-c]{1,3} [0-9]{1,30}", fullmatch=True), max_size=4))
def test_any_words_may_be_added_or_are_refused(added: list[str]) -> None:
    try:
        found = Lexicon(["a 5", "bc 1"], added)
    except ValueError:
        return
    text = "".join(added)
    assert "".join(found.cut(text)) == text


def test_a_broken_dictionary_is_refused(by_words: Path, tmp_path: Path) -> None:
    pytest.importorskip("jieba", reason="jieba, whose dictionary it is, is not installed")
    folder = tmp_path / "model"
    shutil.copytree(by_words, folder)
    (folder / lexicon.ADDED).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(CheckpointError, match="punc: a dictionary cannot be read"):
        read_lexicon(checkpoints.read(folder, name="punc"))
