"""Vocabularies of SentencePiece's that somebody has damaged."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracles import sense_voice as oracle
from overtone.errors import CheckpointError
from overtone.models.tokenizers.sentencepiece import SentencePieceTokenizer


def test_a_vocabulary_with_a_piece_as_long_as_a_page_is_refused(tmp_path: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 9),
        model_writer=model,
        vocab_size=12,
        user_defined_symbols=["x" * 257],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "x.bpe.model").write_bytes(model.getvalue())
    with pytest.raises(
        CheckpointError, match=r"model: x\.bpe\.model has a piece of 257 characters; one has 256 at most"
    ):
        SentencePieceTokenizer(tmp_path / "x.bpe.model", "model")


@settings(max_examples=50)
@given(data=st.data())
def test_a_damaged_vocabulary_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(vocabulary())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        damaged += b"\0" * (not damaged)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.bpe.model")
        path.write_bytes(damaged)
        try:
            pieces = SentencePieceTokenizer(path, "model")
        except CheckpointError as error:
            message = str(error)
        else:
            message = "model: x.bpe.model"
            pieces.words(range(len(pieces)))
            pieces.text(range(len(pieces)))
            pieces.split("hello 你好")
    assert message.startswith("model: x.bpe.model")


@cache
def vocabulary() -> bytes:
    return oracle.vocabulary(0)
