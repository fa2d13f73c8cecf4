"""A new model is one folder under `models/`: nothing else of the package knows of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import overtone
from helpers.clips import buzz
from helpers.command import environment, finish, start

TOY = Path(__file__).parent / "toy"
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is, with one folder more."""
    place = tmp_path_factory.mktemp("package")
    own = shutil.ignore_patterns("__pycache__", "ui")
    shutil.copytree(Path(overtone.__file__).parent, place / "overtone", ignore=own)
    shutil.copytree(TOY, place / "overtone" / "models" / "toy", ignore=own)
    return place


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    (folder / "config.yaml").write_text("model: ToyEmbeddings\n", encoding="utf-8")
    random = torch.Generator().manual_seed(0)
    state = {"linear.weight": torch.randn(4, 320, generator=random), "linear.bias": torch.randn(4, generator=random)}
    torch.save(state, folder / "model.pt")
    return folder


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_family_in_a_folder_of_its_own_is_run_like_any_other(
    package: Path, published: Path, tmp_path: Path, backend: str
) -> None:
    clip = buzz(3.0)
    soundfile.write(tmp_path / "a.wav", clip, 16_000, subtype="FLOAT")
    env = environment(PYTHONPATH=str(package))
    run = ("emotion", "a.wav", "--model", published, "--backend", backend, "--device", "cpu")
    out = ("--embeddings", "vectors", "--format", "jsonl")
    code, text, err = finish(start(*run, *out, cwd=tmp_path, env=env), timeout_s=240)
    assert code == 0, err
    (record,) = map(json.loads, text.splitlines())
    assert (record["backend"], record["label"], record["error"]) == (backend, None, None)
    state = torch.load(published / "model.pt")
    frames = clip[: len(clip) // 320 * 320].reshape(-1, 320).astype(np.float64)
    expected = np.tanh(frames @ state["linear.weight"].numpy().T.astype(np.float64) + state["linear.bias"].numpy())
    (vectors,) = (tmp_path / "vectors").glob("*.npz")
    np.testing.assert_allclose(np.load(vectors)["embedding"], expected.mean(axis=0), rtol=0, atol=1e-5)


def test_its_precisions_and_its_description_come_with_it(package: Path, published: Path, tmp_path: Path) -> None:
    env = environment(PYTHONPATH=str(package))
    code, text, err = finish(start("models", "info", published, cwd=tmp_path, env=env))
    assert code == 0, err
    assert re.search(r"network +ToyEmbeddings\nfor +emotion\n", text)


def test_without_the_folder_the_network_is_not_known(published: Path, tmp_path: Path) -> None:
    code, _, err = finish(start("models", "info", published, cwd=tmp_path))
    assert code != 0
    assert "'ToyEmbeddings', which Overtone does not run" in err


def test_the_folder_is_what_the_five_steps_ask_for() -> None:
    page = CONTRIBUTING.read_text(encoding="utf-8")
    section = page.partition("## A new model in five steps\n")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == list("12345")
    assert {path.name for path in TOY.glob("*.py")} == set(re.findall(r"`(\w+\.py)`", section))
