"""Graphs' files that are damaged, cut short or rewritten while they are in use."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from helpers.paths import TESTS
from overtone.backends.openvino import blob_cache, model_file
from overtone.backends.openvino.compiled_model import CompiledModel, save_model
from overtone.backends.openvino.model_file import ModelFile
from overtone.backends.openvino.module import openvino
from overtone.errors import CheckpointError
from overtone.system.files import crc32_file

GIVEN = {"given": np.ones((1, 64), np.float32)}

RUN = """
import sys
import numpy as np
from pathlib import Path
from overtone.backends.openvino import blob_cache, model_file
from overtone.backends.openvino.compiled_model import CompiledModel
from overtone.errors import OvertoneError

model_file._HELD_BYTES = 0
print("begun", flush=True)
try:
    compiled = CompiledModel(Path(sys.argv[1]), threads=1)
    for rows in range(1, 40):  # each shape may pack the weights anew, and dropped pages are read again
        compiled.run({"given": np.ones((rows, 2048), np.float32)})
        compiled.release_file_pages()
except OvertoneError as error:
    print("refused", error)
else:
    print("ran")
"""


def product(folder: Path, width: int) -> Path:
    """A graph that multiplies by a square matrix of this width."""
    opset = openvino().opset13
    given = opset.parameter([-1, width], np.float32, name="given")
    weights = np.random.default_rng(0).normal(size=(width, width)).astype(np.float32)
    made = opset.matmul(given, opset.constant(weights), False, False)
    made.output(0).get_tensor().set_names({"made"})
    model = openvino().Model([made], [given], "product")
    model.inputs[0].get_tensor().set_names({"given"})
    save_model(model, folder / "m.xml")
    return folder / "m.xml"


def result(path: Path) -> np.ndarray:
    return np.array(CompiledModel(path, threads=1).run(GIVEN)["made"])


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small weights are mapped, too."""
    monkeypatch.setattr(model_file, "_HELD_BYTES", 0)


def test_weights_held_in_memory_and_mapped_ones_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = product(tmp_path, 64)
    held = result(path)
    monkeypatch.setattr(model_file, "_HELD_BYTES", 0)
    np.testing.assert_array_equal(result(path), held)


@pytest.mark.parametrize("cut", [0, 100])
def test_what_is_mapped_outlives_its_file(tmp_path: Path, mapping: None, cut: int) -> None:
    path = product(tmp_path, 64)
    wanted = result(path)
    compiled = CompiledModel(path, threads=1)
    for file in (path, path.with_suffix(".bin")):
        os.truncate(file, cut)
    compiled.release_file_pages()
    np.testing.assert_array_equal(compiled.run(GIVEN)["made"], wanted)


@pytest.mark.skipif(sys.platform != "linux", reason="weights are mapped on Linux")
def test_the_copy_has_no_name_and_its_pages_are_given_back(own_cache: Path, tmp_path: Path, mapping: None) -> None:
    path = product(tmp_path, 64)
    file = ModelFile(path)
    assert not [found for found in own_cache.rglob("*") if found.is_file()]
    mapped = resident(own_cache)
    constants = [op for op in file.model.get_ops() if op.get_type_name() == "Constant"]
    wanted = [np.array(op.data) for op in constants]
    assert resident(own_cache) > mapped
    file.drop_pages()
    assert resident(own_cache) == 0
    for op, before in zip(constants, wanted, strict=True):
        np.testing.assert_array_equal(op.data, before)


@pytest.mark.skipif(sys.platform != "linux", reason="weights are mapped on Linux")
def test_none_of_its_pages_is_left_once_a_graph_is_compiled_and_once_it_ran(
    own_cache: Path, tmp_path: Path, mapping: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_cache, "_HELD_BYTES", 0)
    path = product(tmp_path, 64)
    for _ in range(2):  # compiled, and then loaded as it was kept
        compiled = CompiledModel(path, threads=1)
        assert resident(own_cache) == 0
        compiled.warm_up(GIVEN)
        assert resident(own_cache) == 0


def resident(folder: Path) -> int:
    """Kilobytes of mapped files in a folder that this process has in memory."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            ours = str(folder.resolve()) in line
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EROFS])
def test_where_the_disk_takes_no_copy_weights_are_held_in_memory(
    tmp_path: Path, mapping: None, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse() -> IO[bytes]:
        raise OSError(refusal, os.strerror(refusal))

    path = product(tmp_path, 64)
    wanted = result(path)
    monkeypatch.setattr(model_file, "_unnamed", refuse)
    np.testing.assert_array_equal(result(path), wanted)


@pytest.mark.parametrize("held", [0, 1 << 30])
@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_file_that_is_not_the_one_that_was_converted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, held: int
) -> None:
    monkeypatch.setattr(model_file, "_HELD_BYTES", held)
    path = product(tmp_path, 64)
    checksums = {file.name: crc32_file(file) for file in (path, path.with_suffix(".bin"))}
    ModelFile(path, checksums)
    data = bytearray((damaged := path.with_suffix(suffix)).read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"m{suffix}: is damaged: its checksum"):
        ModelFile(path, checksums)


@pytest.mark.parametrize("held", [0, 1 << 30])
def test_weights_that_are_cut_short_or_gone_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(model_file, "_HELD_BYTES", held)
    path = product(tmp_path, 64)
    os.truncate(path.with_suffix(".bin"), 5000)
    with pytest.raises(CheckpointError, match="cannot be loaded by OpenVINO"):
        ModelFile(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointError, match=r"cannot be read.*convert"):
        ModelFile(path)


def test_weights_that_become_shorter_while_they_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = product(tmp_path, 64)
    copy = model_file._copy

    def cut_first(weights: Path, *rest: Any) -> int:
        os.truncate(weights, 100)
        return copy(weights, *rest)

    monkeypatch.setattr(model_file, "_copy", cut_first)
    with pytest.raises(CheckpointError, match="was cut short while it was read"):
        ModelFile(path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_cutting_a_file_at_any_moment_ends_no_process(own_cache: Path, tmp_path: Path, seed: int) -> None:
    path = product(tmp_path, 2048)
    code = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n" + RUN
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=TESTS, stdout=subprocess.PIPE, encoding="utf-8"
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
        # Where it is by then is left to chance: reading, compiling, running, or done.
        threading.Event().wait(random.Random(seed).uniform(0, 0.6))
        os.truncate(path.with_suffix(".bin"), 0)
        ended = run.stdout.read()
    assert run.returncode == 0, ended
    assert ended.startswith(("ran", "refused"))
