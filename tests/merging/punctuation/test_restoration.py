"""Punctuation of whole texts against FunASR's, and of words as they come against whole texts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracles import ct_transformer as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.errors import CheckpointError
from overtone.merging.punctuation import restoration
from overtone.merging.punctuation.restoration import COMMA_LIMIT, MAX_WINDOW, Punctuated, Punctuator
from overtone.models import checkpoints
from overtone.models.ct_transformer import network
from overtone.models.ct_transformer.config import PunctuationLabels
from overtone.models.tokenizers.vocabulary import read_vocabulary

Of = Callable[[Path], Punctuator]


@pytest.fixture(scope="module")
def by_characters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("characters") / "model")


@pytest.fixture(scope="module")
def by_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("jieba", reason="jieba, whose dictionary it is, is not installed")
    return oracle.publish(tmp_path_factory.mktemp("words") / "model", dictionary=True, seed=1)


@pytest.fixture(scope="module")
def punctuator() -> Of:
    """The punctuator of a folder, through PyTorch; one for all tests."""
    made: dict[Path, Punctuator] = {}

    def of(folder: Path) -> Punctuator:
        if folder not in made:
            checkpoint = checkpoints.read(folder, name="punc")
            made[folder] = Punctuator(checkpoint, torch_run(network.build(checkpoint)))
        return made[folder]

    return of


HAND_MADE = (
    "",
    "  ",
    "我",
    "hello",
    "hello world",
    "今天 天气 hello世界",
    "iPhone 12 是 USA 的",
    "3.5 x2",
    "it's ok.",
    "what?",
    "好的。",
    "我，",
    "no,",
    "café naïve",
    "안녕하세요 여러분",
    "a　b\tc\nd",
    "𠀀𠀁 emoji 😀 end",
)


def same_as_funasr(folder: Path, of: Of, texts: list[str]) -> None:
    ours, theirs = of(folder), oracle.funasr(folder)
    for text in texts:
        got = ours.punctuate(text)
        assert (got.text, ours.marks.ids(got.marks)) == oracle.generate(theirs, text), text[:100]


@pytest.mark.parametrize("dictionary", [False, True])
def test_texts_and_marks_are_those_of_funasr(
    dictionary: bool, by_characters: Path, by_words: Path, punctuator: Of
) -> None:
    lengths = (1, 2, 3, 19, 20, 21, 40, 41, 200, 333)
    texts = [oracle.text(count, seed=count, english=english) for count in lengths for english in (0, 0.3, 1)]
    folder = by_words if dictionary else by_characters
    same_as_funasr(folder, punctuator, [*HAND_MADE, *texts, oracle.text(2000, seed=5)])
    marks = punctuator(folder).punctuate(texts[-2]).marks
    assert {"，", "。", ""} <= set(marks)


@pytest.mark.parametrize("never", ["。？", "，。？", "。？、，"])
def test_texts_without_an_end_are_those_of_funasr(never: str, tmp_path: Path, punctuator: Of) -> None:
    """The window grows, and a comma ends a sentence; without commas either it goes on growing."""
    folder = oracle.publish(tmp_path / "model", never=never)
    sizes: list[int] = []
    ours = punctuator(folder)
    best = ours.best
    ours.best = lambda vectors: (sizes.append(len(vectors)), best(vectors))[1]  # type: ignore[method-assign]
    # Beyond the longest window marks that end nothing may be others than FunASR's, whose windows grow on.
    longest = 480 if never == "，。？" else 700
    same_as_funasr(folder, punctuator, [oracle.text(count, seed=count) for count in (205, 470, longest)])
    assert COMMA_LIMIT < max(sizes) <= MAX_WINDOW
    assert (max(sizes) == MAX_WINDOW) == (never == "。？、，")


def test_text_is_settled_when_the_longest_window_is_full(tmp_path: Path, punctuator: Of) -> None:
    """Where nothing tells sentences apart, memory is bounded all the same, and nothing else changes."""
    ours = punctuator(oracle.publish(tmp_path / "model", never="。？、，"))
    stream = ours.stream()
    first = stream.push(["word"] * (MAX_WINDOW + 1))
    assert len(first.marks) == MAX_WINDOW - restoration.WINDOW
    rest = stream.finish()
    assert first.text + rest.text == " Word" + " word" * MAX_WINDOW + "."
    assert first.marks + rest.marks == [""] * MAX_WINDOW + ["。"]


CHARACTERS = st.sampled_from([*oracle.CHINESE[:40], "한", "é"])
WORDS = st.one_of(
    CHARACTERS,
    CHARACTERS,
    st.sampled_from([*oracle.ENGLISH[:30], "3D", "42", "7", "T", "恤", "打", "印"]),
    st.sampled_from([oracle.CHINESE[:3], "3D打印", "abc" + oracle.CHINESE[5:7] + "x", "", " ", "a b", "U.S."]),
)


@pytest.mark.parametrize("dictionary", [False, True])
@settings(max_examples=25)
@given(words=st.lists(WORDS, max_size=150), cuts=st.lists(st.integers(0, 150), max_size=12))
def test_words_may_come_in_any_way(
    dictionary: bool, by_characters: Path, by_words: Path, punctuator: Of, words: list[str], cuts: list[int]
) -> None:
    ours = punctuator(by_words if dictionary else by_characters)

    def streamed(bounds: list[int]) -> Punctuated:
        stream = ours.stream()
        parts = [stream.push(words[start:stop]) for start, stop in itertools.pairwise(bounds)]
        parts.append(stream.finish())
        return Punctuated("".join(part.text for part in parts), [mark for part in parts for mark in part.marks])

    once = streamed([0, len(words)])
    assert once == streamed([0, *sorted(min(cut, len(words)) for cut in cuts), len(words)])
    assert len(once.marks) == len(words)
    assert once.text == ours.punctuate(" ".join(words)).text
    assert all(mark == "" for word, mark in zip(words, once.marks, strict=True) if not word.strip())


def test_marks_are_those_of_the_words_given(by_characters: Path, punctuator: Of) -> None:
    """Where words are what the model looks at, the marks are the model's own."""
    ours = punctuator(by_characters)
    text = oracle.text(300, seed=8)
    pieces = [piece.text for piece in ours.splitter().push(text.split())]
    stream = ours.stream()
    assert stream.push(pieces).marks + stream.finish().marks == ours.punctuate(text).marks


def test_what_waits_is_little(by_characters: Path, punctuator: Of) -> None:
    stream = punctuator(by_characters).stream()
    waiting = given = 0
    for at in range(150):
        words = oracle.text(20, seed=at).split()
        given += len(words)
        given -= len(stream.push(words).marks)
        waiting = max(waiting, given)
    assert waiting <= COMMA_LIMIT + 2 * restoration.WINDOW


def test_both_runtimes_punctuate_alike(by_characters: Path) -> None:
    checkpoint = checkpoints.read(by_characters, name="punc")
    graphs = network.build(checkpoint)
    text = oracle.text(400, seed=3)
    first, second = (Punctuator(checkpoint, run(graphs)).punctuate(text) for run in (torch_run, openvino_run))
    assert first == second


def test_few_shapes_are_run(by_characters: Path) -> None:
    shapes: set[tuple[int, ...]] = set()
    checkpoint = checkpoints.read(by_characters, name="punc")
    run = torch_run(network.build(checkpoint))

    def counted(graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        shapes.add(inputs["embedded"].shape)
        return run(graph, inputs)

    Punctuator(checkpoint, counted).punctuate(oracle.text(1500, seed=2))
    assert len(shapes) <= (COMMA_LIMIT + 2 * restoration.WINDOW) // 8


def tokens(folder: Path, text: str) -> Path:
    (folder / "tokens.json").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cannot be read"),
        ("{}", "not a list"),
        ('["<unk>", 3]', "not a list"),
        ('["a", "b"]', "<unk>"),
        ('["<unk>", "a", "a"]', "each word once"),
        ('["<unk>", "a"]', "vectors of 500"),
    ],
)
def test_a_broken_vocabulary_is_refused(text: str, said: str, tmp_path: Path) -> None:
    folder = tokens(oracle.publish(tmp_path / "model"), text)
    with pytest.raises(CheckpointError, match=f"punc: .*{said}"):
        Punctuator(checkpoints.read(folder, name="punc"), lambda graph, inputs: {})


def test_words_may_be_listed_in_plain_text(by_characters: Path, tmp_path: Path) -> None:
    words = json.loads((by_characters / "tokens.json").read_text(encoding="utf-8"))
    folder = oracle.publish(tmp_path / "model")
    (folder / "tokens.json").unlink()
    (folder / "tokens.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    assert read_vocabulary(checkpoints.read(folder, name="punc")) == {word: at for at, word in enumerate(words)}


def test_marks_have_ids(by_characters: Path) -> None:
    known = PunctuationLabels.from_config(checkpoints.read(by_characters, name="punc").config, "punc")
    assert known.shown == ("", "", "，", "。", "？", "、")
    assert known.ids(["", "，", "。", "？", "、"]) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(known.ends, [False, False, False, True, True, False])
