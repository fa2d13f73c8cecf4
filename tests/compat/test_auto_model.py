"""`overtone.compat.AutoModel` beside FunASR's own, on the same checkpoint."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.clips import EXAMPLES, buzz
from helpers.oracles.auto_model import funasr_auto_model
from overtone.compat import AutoModel
from overtone.compat.inputs import named
from overtone.errors import InputError, UsageError
from overtone.models.emotion2vec import random_checkpoint

LABELS = [*random_checkpoint.LABELS[:-2], "unuse_7", "<unk>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint.write(tmp_path_factory.mktemp("compat") / "c", labels=LABELS)


@pytest.fixture(scope="module")
def model(folder: Path) -> AutoModel:
    return AutoModel(model=str(folder), disable_update=True, disable_pbar=True, memory="4GiB")


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Any:
    return funasr_auto_model(folder)


def ask(oracle: Any, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: list[dict[str, Any]] = oracle.generate(*args, **kwargs)
    return result


WAVS = [str(EXAMPLES / "angry.wav"), str(EXAMPLES / "sad.wav")]


@pytest.mark.parametrize("granularity", ["utterance", "frame"])
@pytest.mark.parametrize("extract_embedding", [True, False])
@pytest.mark.parametrize(
    "given", [WAVS[0], WAVS, buzz(3.3), [buzz(1.0), buzz(2.0, seed=1)], Path(WAVS[1]).read_bytes()]
)
def test_results_are_funasrs(
    model: AutoModel, oracle: Any, given: Any, granularity: str, extract_embedding: bool
) -> None:
    options = {"granularity": granularity, "extract_embedding": extract_embedding}
    expected, got = ask(oracle, given, **options), model.generate(given, **options)
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert list(ours) == list(theirs)
        assert ours["labels"] == theirs["labels"]
        assert "unuse_7" not in ours["labels"]
        if theirs["key"].startswith("rand_key_"):
            assert ours["key"].startswith("rand_key_")
        else:
            assert ours["key"] == theirs["key"]
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
        if extract_embedding:
            assert ours["feats"].shape == theirs["feats"].shape
            assert ours["feats"].dtype == theirs["feats"].dtype
            np.testing.assert_allclose(ours["feats"], theirs["feats"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["wav.scp", "list.txt", "list.jsonl"])
def test_lists_are_read_as_funasr_reads_them(model: AutoModel, oracle: Any, tmp_path: Path, name: str) -> None:
    line = '{{"key": "u{i}", "source": "{path}"}}' if name.endswith("jsonl") else "u{i} {path}"
    path = tmp_path / name
    path.write_text("\n".join(line.format(i=i, path=wav) for i, wav in enumerate(WAVS)) + "\n", encoding="utf-8")
    expected, got = ask(oracle, str(path)), model.generate(str(path))
    assert [r["key"] for r in got] == [r["key"] for r in expected] == ["u0", "u1"]
    for ours, theirs in zip(got, expected, strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


def test_embeddings_are_saved_where_funasr_saves_them(model: AutoModel, oracle: Any, tmp_path: Path) -> None:
    ask(oracle, WAVS, output_dir=str(tmp_path / "theirs"))
    model.generate(WAVS, output_dir=str(tmp_path / "ours"))
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == names == ["angry.npy", "sad.npy"]
    for name in names:
        np.testing.assert_allclose(np.load(tmp_path / "ours" / name), np.load(tmp_path / "theirs" / name), atol=1e-4)


NOISE = buzz(0.5)


@pytest.mark.parametrize("key", [None, "x"])
@pytest.mark.parametrize(
    "given",
    [
        WAVS[0],
        [WAVS[0]],
        WAVS,
        tuple(WAVS),
        NOISE,
        [NOISE],
        [NOISE, WAVS[0], NOISE, WAVS[1], NOISE],
        [str(EXAMPLES / "call.mp3"), WAVS[0]],
    ],
)
def test_keys_are_funasrs(given: Any, key: str | None) -> None:
    pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")
    from funasr.auto.auto_model import prepare_data_iterator

    expected, _ = prepare_data_iterator(given, key=key)
    got = [name for name, _ in named(given, key, 16_000)]
    random = [name.startswith("rand_key_") for name in expected]
    assert [name.startswith("rand_key_") for name in got] == random
    for ours, theirs, drawn in zip(got, expected, random, strict=True):
        assert drawn or ours == theirs


def test_files_of_a_list_are_saved_apart_whatever_the_key(model: AutoModel, oracle: Any, tmp_path: Path) -> None:
    expected = ask(oracle, WAVS, key="x", output_dir=str(tmp_path / "theirs"))
    got = model.generate(WAVS, key="x", output_dir=str(tmp_path / "ours"))
    assert [r["key"] for r in got] == [r["key"] for r in expected] == ["angry", "sad"]
    for folder in ("ours", "theirs"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["angry.npy", "sad.npy"]


def test_samples_without_a_key_are_saved_apart(model: AutoModel, tmp_path: Path) -> None:
    model.generate([NOISE, NOISE], output_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_raw_samples_as_int16_are_taken_as_funasr_takes_bytes(model: AutoModel) -> None:
    samples = (buzz(2.0) * 32767).astype(np.int16)
    from_array, from_bytes = model.generate(samples), model.generate(samples.tobytes())
    assert from_array[0]["scores"] == pytest.approx(from_bytes[0]["scores"], abs=1e-6)


def test_progress_is_told(model: AutoModel) -> None:
    seen: list[tuple[int, int]] = []
    model.generate(WAVS, progress_callback=lambda *told: seen.append(told))
    assert seen == [(1, 2), (2, 2)]


def test_a_checkpoint_without_classes_gives_what_funasr_gives(tmp_path: Path) -> None:
    plain = AutoModel(model=str(random_checkpoint.write(tmp_path / "c", labels=None)))
    (result,) = plain.generate(WAVS[0], extract_embedding=False)
    assert (result["labels"], result["scores"], result["feats"].shape) == ([], [], (48,))


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"granularty": "frame"}, "granularty.* 'granularity' is one"),
        ({"granularity": "word"}, "word"),
        ({"fp16": True}, "fp16"),
        ({"data_type": "fbank"}, "data_type"),
    ],
)
def test_slips_and_what_is_not_done_are_refused_by_name(model: AutoModel, how: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        model.generate(WAVS[0], **how)


def test_what_a_model_cannot_be_made_with_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(UsageError, match="vad_model"):
        AutoModel(model=str(folder), vad_model="fsmn-vad")
    with pytest.raises(UsageError, match=r"extract_embeding.* 'extract_embedding' is one"):
        AutoModel(model=str(folder), extract_embeding=False)


def test_an_input_that_cannot_be_used_is_an_error_as_in_funasr(model: AutoModel) -> None:
    with pytest.raises(InputError, match=r"no\.wav"):
        model.generate("no.wav")
