"""Rows of the published table, from whatever file they are in."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.oracles import ct_transformer as oracle
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.ct_transformer.embedding_table import FILE, TENSOR, EmbeddingTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return oracle.publish(tmp_path / "model")


def read(folder: Path) -> EmbeddingTable:
    return EmbeddingTable(checkpoints.read(folder, name="punc"))


def published(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "model.pt", weights_only=True)


IDS = [3, 0, 499, 3]


def test_rows_are_the_published_ones(folder: Path) -> None:
    wanted = published(folder)[TENSOR].numpy()
    table = read(folder)
    assert table.shape == wanted.shape
    np.testing.assert_array_equal(table.rows(IDS), wanted[IDS])
    assert table.rows([]).shape == (0, 32)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_ways_of_saving_them(wrapper: str | None, dtype: torch.dtype, folder: Path) -> None:
    state = {key: value.to(dtype) for key, value in published(folder).items()}
    state[TENSOR] = torch.cat([torch.zeros(2, 32, dtype=dtype), state[TENSOR]])[2:]  # which begins within its storage
    torch.save({wrapper: state} if wrapper else state, folder / "model.pt")
    found = read(folder).rows(IDS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, state[TENSOR].float().numpy()[IDS])


def test_safetensors(folder: Path) -> None:
    state = published(folder)
    save_file(state, folder / "model.safetensors")
    (folder / "model.pt").unlink()
    (folder / "configuration.json").unlink()
    np.testing.assert_array_equal(read(folder).rows(IDS), state[TENSOR].numpy()[IDS])


def test_a_converted_folder_has_a_file_of_its_own(folder: Path) -> None:
    table = read(folder)
    table.save(folder)
    wanted = table.rows(range(500))
    np.testing.assert_array_equal(np.load(folder / FILE), wanted)
    (folder / "model.pt").write_bytes(b"")
    np.testing.assert_array_equal(read(folder).rows(IDS), wanted[IDS])


class _Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("harm",))


def test_nothing_in_it_is_executed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(folder / "model.pt", "w") as parts:
        parts.writestr("archive/data.pkl", pickle.dumps({TENSOR: _Harm()}))
    with pytest.raises(CheckpointError, match=r"punc: model\.pt is not a plain file of tensors"):
        read(folder)
    assert "harm" not in capsys.readouterr().out


def damaged(folder: Path, how: str) -> None:
    state = published(folder)
    path = folder / "model.pt"
    if how == "cut short":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "old":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif how == "without":
        torch.save({key: value for key, value in state.items() if key != TENSOR}, path)
    elif how == "whole numbers":
        torch.save(state | {TENSOR: torch.zeros(500, 32, dtype=torch.int64)}, path)
    elif how == "by columns":
        torch.save(state | {TENSOR: torch.zeros(32, 500).T}, path)
    elif how == "no matrix":
        torch.save(state | {TENSOR: torch.zeros(500)}, path)
    elif how == "a list":
        torch.save([1, 2], path)
    elif how.startswith("header"):
        header = how.removeprefix("header ").ljust(117).encode() + b"\n"
        (folder / FILE).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64_000))
    elif how == "npy":
        np.save(folder / FILE, np.zeros((500, 32), np.float32, order="F"))
    else:
        with (folder / FILE).open("wb") as file:
            np.save(file, np.zeros((500, 32), np.float32))
            file.truncate(1000)


@pytest.mark.parametrize(
    "how",
    [
        *(
            "cut short",
            "empty",
            "old",
            "without",
            "whole numbers",
            "by columns",
            "no matrix",
            "a list",
            "npy",
            "npy short",
        ),
        "header {'descr': '<f4', 'fortran_order': False, 'shape': (2, -4)}",
        "header {'descr': '<f4', 'fortran_order': False, 'shape': (True, 4)}",
        "header {'descr': '<f4', [1]: 2}",
        f"header {'-' * 9000}1",
    ],
)
def test_a_broken_file_is_refused(how: str, folder: Path) -> None:
    damaged(folder, how)
    with pytest.raises(CheckpointError, match="punc: "):
        read(folder)


def test_a_file_cut_short_while_in_use_is_told(folder: Path) -> None:
    table = read(folder)
    with (folder / "model.pt").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(CheckpointError, match="was cut short while it was in use"):
        table.rows(IDS)
