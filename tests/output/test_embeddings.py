"""Embeddings: what is written is read back by plain NumPy."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.results import LABELS, failed, frames, result
from overtone.errors import UsageError
from overtone.output.embeddings import EmbeddingWriter

MEAN = np.array([1, 2, 3, 4], np.float32)


def _read(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_utterance(tmp_path):
    path = EmbeddingWriter(str(tmp_path / "new" / "emb"), "utterance").write(result("x/call.mp3", embedding=MEAN))
    assert path == tmp_path / "new" / "emb" / "call.npz"
    arrays = _read(path)
    assert arrays["embedding"].dtype == arrays["scores"].dtype == np.float32
    np.testing.assert_array_equal(arrays["embedding"], MEAN)
    np.testing.assert_array_equal(arrays["scores"], np.array([0.6, 0.3, 0.1], np.float32))
    np.testing.assert_array_equal(arrays["pooled_scores"], np.array([0.4, 0.5, 0.1], np.float32))
    assert arrays["pooled_scores"].dtype == np.float32
    assert arrays["labels"].tolist() == list(LABELS)
    assert arrays["source"] == "x/call.mp3"
    assert os.listdir(path.parent) == ["call.npz"]


@pytest.mark.parametrize("count", [0, 1, 9000])
@pytest.mark.parametrize("labels", [LABELS, ()])
def test_frames(tmp_path, count, labels):
    with frames(count, labels) as some:
        scores = dict.fromkeys(labels, 0.5) or None
        value = result(embedding=MEAN, frames=some, scores=scores)
        arrays = _read(EmbeddingWriter(str(tmp_path), "frame").write(value))
        np.testing.assert_array_equal(arrays["frames"], some.embeddings.numpy())
        np.testing.assert_array_equal(arrays["starts_s"], some.starts.numpy() / 16_000)
        if labels:
            np.testing.assert_array_equal(arrays["frame_scores"], some.scores.numpy())
        else:
            assert arrays["frame_scores"].shape == (count, 0)
    assert arrays["frames"].dtype == arrays["frame_scores"].dtype == np.float32
    assert arrays["starts_s"].dtype == np.float64
    assert arrays["labels"].shape == (len(labels),)


def test_nothing_to_write(tmp_path):
    writer = EmbeddingWriter(str(tmp_path), "utterance")
    assert writer.write(failed()) is None
    assert writer.write(result(label="silence", scores=None, score=None)) is None
    assert os.listdir(tmp_path) == []


def test_the_same_input_has_the_same_file_in_every_run(tmp_path):
    values = [
        result("a/call.mp3", embedding=MEAN),
        result("b/call.mp3", embedding=MEAN + 1),
        result("b/call.mp3", embedding=MEAN + 2, channel=0, channels=2),
        result("b/call.mp3", embedding=MEAN + 3, channel=1, channels=2),
        result("c\udc80.wav", embedding=MEAN + 4, id="call"),
    ]
    first = [EmbeddingWriter(str(tmp_path), "utterance").write(value) for value in values]
    before = {path: path.read_bytes() for path in first}
    assert len(before) == len(values)
    for order in ([4, 3, 2, 1, 0], [1], [0, 4]):
        writer = EmbeddingWriter(str(tmp_path), "utterance")  # as after a restart
        assert [writer.write(values[at]) for at in order] == [first[at] for at in order]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"mine", b"PK\x03\x04 broken"])
def test_a_file_of_the_users_own_is_left_alone(tmp_path, content):
    (tmp_path / "call.npz").write_bytes(content)
    path = EmbeddingWriter(str(tmp_path), "utterance").write(result(embedding=MEAN))
    assert path.name.startswith("call-")
    assert (tmp_path / "call.npz").read_bytes() == content


def test_a_failed_write_leaves_nothing(tmp_path):
    with frames(10) as some:
        value = result(embedding=MEAN, frames=some)
        some.scores.close()

        def stop(*_):
            raise KeyboardInterrupt

        object.__setattr__(some, "embeddings", type("Broken", (), {"shape": (10, 4), "chunks": stop, "close": stop})())
        with pytest.raises(KeyboardInterrupt):
            EmbeddingWriter(str(tmp_path), "frame").write(value)
        object.__setattr__(some, "embeddings", some.starts)
    assert os.listdir(tmp_path) == []


@given(source=st.text(max_size=12), id=st.none() | st.text(max_size=4))
def test_no_name_leaves_the_folder(tmp_path_factory, source, id):
    folder = tmp_path_factory.mktemp("e")
    path = EmbeddingWriter(str(folder), "utterance").write(result(source, id=id, embedding=MEAN))
    assert path.parent == folder
    assert _read(path)["source"] == source.rstrip("\0")


def test_misuse(tmp_path):
    with pytest.raises(UsageError, match="segment"):
        EmbeddingWriter(str(tmp_path), "segment")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        EmbeddingWriter(str(tmp_path / "file"), "frame")
