from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from overtone.errors import CheckpointError, DownloadError, UsageError
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.hub import ALIASES, Hub, hub_id
from overtone.models.registry import check_role

LAUGHS = "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 20)}]\n" for a, b in pairwise("abcdefgh"))
"""A billion values in ten lines."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_checkpoint.write(tmp_path / "c")


def test_a_folder_is_read_with_its_labels(folder: Path) -> None:
    found = checkpoints.find(str(folder))
    labels = found.labels()
    assert labels is not None
    assert labels[0] == "生气/angry"
    assert found.weights == folder / "model.pt"


def test_its_size_is_that_of_the_weights_and_not_of_what_training_keeps_beside_them(folder: Path) -> None:
    numbers = sum(value.numel() for value in torch.load(folder / "model.pt", weights_only=True)["model"].values())
    assert checkpoints.find(str(folder)).weight_bytes == 4 * numbers
    assert (folder / "model.pt").stat().st_size > 3 * 4 * numbers


@pytest.mark.parametrize("broken", [b"", b"PK", b"PK\x05\x06" + b"\xff" * 18, b"\x80\x02."])
def test_weights_that_cannot_be_read_have_their_files_size_until_they_are_loaded(folder: Path, broken: bytes) -> None:
    (folder / "model.pt").write_bytes(broken)
    assert checkpoints.find(str(folder)).weight_bytes == len(broken)


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_aliases_and_ids_of_either_hub_lead_to_the_hub_asked(hub: Hub) -> None:
    for alias, ids in ALIASES.items():
        assert hub_id(alias, hub) == ids[hub]
        assert {hub_id(name, hub) for name in ids.values()} == {ids[hub]}
    assert hub_id("someone/something", hub) == "someone/something"


@pytest.mark.parametrize("name", ["nothing", "./a/b", "/a", "a/b/c", "", "~/x", "a/"])
def test_a_name_that_is_nothing_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tiny, base"):
        hub_id(name, "hf")


def test_without_a_network_the_error_says_what_to_do() -> None:
    with pytest.raises(DownloadError, match="overtone models pull emotion2vec/emotion2vec_plus_large"):
        checkpoints.find("plus-large")


def test_a_file_is_no_checkpoint(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="give the folder"):
        checkpoints.find(str(folder / "model.pt"))


def rewrite(folder: Path, name: str, text: str | None) -> None:
    path = folder / name
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("config.yaml", None, "no config.yaml"),
        ("config.yaml", "- a\n- b", "not a mapping"),
        ("config.yaml", "a: [", "not readable YAML"),
        ("config.yaml", LAUGHS, "not readable YAML .*more than 100,000 values, line"),
        ("config.yaml", "a: &a [*a]", "not readable YAML .*names nothing that ends before it"),
        ("config.yaml", "a: " + "b" * (1 << 20), "config.yaml cannot be read .*larger than 1 MiB"),
        ("config.yaml", "model: [1]", r"model in config.yaml is \[1\], not the name of a network"),
        ("config.yaml", "model: 1\nmodel_conf: {}", "model in config.yaml is 1, not the name"),
        ("config.yaml", "a: !!python/object/apply:os.system ['true']", "not readable YAML"),
        ("configuration.json", "{", "configuration.json is broken"),
        ("configuration.json", "[1]", r"configuration.json is broken \(the file is \[1\], not a mapping\)"),
        ("configuration.json", "[" * 100_000, "configuration.json is broken .*deeper than 64 levels"),
        ("configuration.json", '{"a": ' + "9" * 5000 + "}", "configuration.json is broken .*5,000 characters"),
        ("configuration.json", '{"a": 1, "a": 2}', "configuration.json is broken .*'a' is there twice"),
        ("configuration.json", '{"a": NaN}', "configuration.json is broken .*NaN"),
        ("configuration.json", '{"file_path_metas": [1]}', r"file_path_metas is \[1\], not a mapping"),
        ("configuration.json", '{"file_path_metas": {"tokenizer_conf": 5}}', "tokenizer_conf is 5, not a mapping"),
        ("configuration.json", '{"file_path_metas": {"init_param": 5}}', "init_param is 5, not the name of a file"),
        ("configuration.json", json.dumps({"file_path_metas": {"init_param": "a" * 300}}), "no file can be called"),
        ("configuration.json", json.dumps({"file_path_metas": {"init_param": "a\0b"}}), "no file can be called"),
        ("configuration.json", json.dumps({"file_path_metas": {"init_param": "a/" * 3000}}), "no file can be called"),
        ("tokens.txt", "a\n" + "b" * 257, "holds the label 'bbb.*256 characters at most"),
        ("tokens.txt", "\n".join(map(str, range(5000))), "holds 5,000 labels"),
        ("config.yaml", "a: 1\na: 2", "not readable YAML .*'a' is twice, line 2"),
        ("model.pt", None, "no weights"),
        ("tokens.txt", None, "tokens.txt is not in"),
        ("tokens.txt", "", "one label per line"),
        ("tokens.txt", "a\na\n", "each once"),
        ("tokens.txt", "a" * (5 << 20), "larger than"),
    ],
)
def test_a_folder_with_a_broken_part_is_one_clear_error(folder: Path, name: str, text: str | None, word: str) -> None:
    rewrite(folder, name, text)
    with pytest.raises(CheckpointError, match=word):
        check_role(checkpoints.find(str(folder)), "emotion")


@pytest.mark.parametrize("path", ["../model.pt", "/etc/passwd", "a/../../b"])
@pytest.mark.parametrize("key", ["init_param", "token_list"])
def test_no_name_in_a_checkpoint_leads_out_of_its_folder(folder: Path, path: str, key: str) -> None:
    metas = {"init_param": path} if key == "init_param" else {"tokenizer_conf": {"token_list": path}}
    rewrite(folder, "configuration.json", json.dumps({"file_path_metas": metas}))
    with pytest.raises(CheckpointError, match="outside the checkpoint's folder"):
        checkpoints.find(str(folder))


def test_files_may_have_other_names(folder: Path) -> None:
    (folder / "model.pt").rename(folder / "weights.pt")
    (folder / "tokens.txt").rename(folder / "labels.txt")
    metas = {"init_param": "weights.pt", "tokenizer_conf": {"token_list": "labels.txt"}}
    rewrite(folder, "configuration.json", json.dumps({"file_path_metas": metas}))
    found = checkpoints.find(str(folder))
    assert found.weights.name == "weights.pt"
    assert len(found.labels() or ()) == 9


def test_a_folder_is_called_by_the_last_part_of_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    for given in (str(tmp_path / "mine"), f"{tmp_path}/mine/", "../mine", "."):
        assert checkpoints.name_of(given) == "mine"
    (tmp_path / "mine" / "tiny").mkdir()
    for name in ("tiny", "plus-large", "iic/emotion2vec_plus_large", "/no/such/folder"):
        assert checkpoints.name_of(name) == name
    assert checkpoints.name_of("/") == "model"
