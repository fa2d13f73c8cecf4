"""Compiled models that are kept: found again, and never taken where they are not what was kept."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.openvino.test_model_file import GIVEN, product
from helpers.paths import TESTS
from overtone.backends.openvino import blob_cache, compilation
from overtone.backends.openvino.blob_cache import Blob, BlobCache
from overtone.backends.openvino.compiled_model import CompiledModel, has_fast_bf16
from overtone.backends.openvino.model_file import ModelFile
from overtone.errors import CheckpointError
from overtone.system.files import crc32_file

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="blobs are kept on Linux"),
    pytest.mark.skipif(
        sys.platform == "linux" and not compilation._imports_from_memory(),
        reason="this OpenVINO takes no blob from memory",
    ),
]

RUN = """
import sys
import numpy as np
from pathlib import Path
from overtone.backends.openvino.compiled_model import CompiledModel, has_fast_bf16

sys.stdin.readline()  # all begin at once
compiled = CompiledModel(Path(sys.argv[1]), threads=1)
print(float(compiled.run({"given": np.ones((1, 64), np.float32)})["made"].sum()))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where blobs are kept; nothing is in it yet."""
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def path(tmp_path: Path, folder: Path) -> Path:
    return product(tmp_path, 64)


def run(path: Path, **how: Any) -> tuple[type, list[float]]:
    """What a graph was loaded from, and its answer."""
    compiled = CompiledModel(path, threads=1, **how)
    made = compiled.run(GIVEN)["made"].tolist()
    compiled.release_file_pages()
    assert compiled.run(GIVEN)["made"].tolist() == made, "pages that were dropped came back otherwise"
    return type(compiled._weights), made


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.blob"))


@pytest.mark.parametrize("held", [0, 1 << 30])
def test_a_graph_is_compiled_once_and_its_answers_stay(path: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(blob_cache, "_HELD_BYTES", held)
    first, again = run(path), run(path)
    assert (first[0], again[0]) == (ModelFile, Blob)
    assert again[1] == first[1]


def test_names_are_as_compiling_found_them(path: Path) -> None:
    first, again = (CompiledModel(path, threads=1) for _ in range(2))
    assert (again.inputs, again.outputs) == (first.inputs, first.outputs) == (("given",), {"made": 0})


# Where a processor has no fast bf16, OpenVINO compiles fp32 instead.
BF16 = pytest.param(
    {"precision": "bf16"}, marks=pytest.mark.skipif(not has_fast_bf16(), reason="this processor has no fast bf16")
)


@pytest.mark.parametrize("how", [{"shape": (3, 64)}, BF16], ids=["another shape", "another precision"])
def test_what_is_compiled_otherwise_is_kept_apart(path: Path, folder: Path, how: dict[str, Any]) -> None:
    CompiledModel(path, threads=1)
    assert isinstance(CompiledModel(path, threads=1, **how)._weights, ModelFile)
    assert isinstance(CompiledModel(path, threads=1, **how)._weights, Blob)
    assert len(kept(folder)) == 2


@pytest.mark.parametrize("name", ["version", "processor_name"])
def test_another_release_or_processor_compiles_anew(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run(path)
    monkeypatch.setattr(compilation, name, lambda: "another")
    assert run(path)[0] is ModelFile


def test_a_graph_that_changed_is_compiled_anew(path: Path) -> None:
    before = run(path)[1]
    weights = path.with_suffix(".bin")
    weights.write_bytes(bytes(weights.stat().st_size))
    kind, after = run(path)
    assert kind is ModelFile
    assert after != before


def test_a_graph_that_is_not_as_its_checksum_says_is_refused_though_it_is_kept(path: Path) -> None:
    right = {path.name: crc32_file(path)}
    assert run(path, checksums=right)[0] is ModelFile
    assert run(path, checksums=right)[0] is Blob
    with pytest.raises(CheckpointError, match="damaged"):
        CompiledModel(path, threads=1, checksums={path.name: "00000000"})


def flip(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


def cut(blob: Path) -> None:
    os.truncate(blob, 1000)


def make_foreign(blob: Path) -> None:
    """Another file of the same size, described as if it had been kept."""
    blob.write_bytes(os.urandom(blob.stat().st_size))
    about = blob.with_suffix(".json")
    said = {**json.loads(about.read_text()), "crc32": int(crc32_file(blob), 16)}
    about.write_text(json.dumps({**said, "check": blob_cache._check(blob.stem, said)}))


def make_writable(blob: Path) -> None:
    blob.chmod(0o666)


def rename_output(blob: Path) -> None:
    _change(blob, outputs={"other": 0})


def move_output(blob: Path) -> None:
    _change(blob, outputs={"made": 1})


def forget_inputs(blob: Path) -> None:
    _change(blob, inputs=[])


def forget_check(blob: Path) -> None:
    said = json.loads(blob.with_suffix(".json").read_text())
    del said["check"]
    blob.with_suffix(".json").write_text(json.dumps(said))


def describe_another(blob: Path) -> None:
    """As another key's blob would be described."""
    about = blob.with_suffix(".json")
    said = json.loads(about.read_text())
    about.write_text(json.dumps({**said, "check": blob_cache._check("another", said)}))


def _change(blob: Path, **changes: Any) -> None:
    about = blob.with_suffix(".json")
    about.write_text(json.dumps({**json.loads(about.read_text()), **changes}))


def empty_about(blob: Path) -> None:
    blob.with_suffix(".json").write_text("{}")


def break_about(blob: Path) -> None:
    blob.with_suffix(".json").write_bytes(b"\xff{")


def replace_by_link(blob: Path) -> None:
    shutil.copy(blob, elsewhere := blob.with_name("elsewhere"))
    blob.unlink()
    blob.symlink_to(elsewhere)


def replace_by_pipe(blob: Path) -> None:
    blob.unlink()
    os.mkfifo(blob)


def replace_about_by_pipe(blob: Path) -> None:
    replace_by_pipe(blob.with_suffix(".json"))


@pytest.mark.parametrize("held", [0, 1 << 30])
@pytest.mark.parametrize(
    "harm",
    [
        flip,
        cut,
        make_foreign,
        make_writable,
        rename_output,
        move_output,
        forget_inputs,
        forget_check,
        describe_another,
        empty_about,
        break_about,
        replace_by_link,
        replace_by_pipe,
        replace_about_by_pipe,
    ],
)
def test_a_blob_that_is_not_what_was_kept_is_compiled_anew(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], held: int
) -> None:
    monkeypatch.setattr(blob_cache, "_HELD_BYTES", held)
    first = run(path)[1]
    harm(kept(folder)[0])
    kind, answer = run(path)
    assert kind is ModelFile
    assert answer == first
    assert run(path) == (Blob, first), "and kept"


def test_a_cache_folder_that_was_copied_is_used(path: Path, folder: Path) -> None:
    first = run(path)[1]
    blob = kept(folder)[0]
    os.utime(blob, (1, 1))  # so that its content has to be looked at
    assert run(path) == (Blob, first)


@pytest.mark.parametrize("change", [cut, flip, os.unlink])
def test_a_blob_that_is_in_use_outlives_its_file(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(blob_cache, "_HELD_BYTES", 0)
    run(path)
    compiled = CompiledModel(path, threads=1)
    assert isinstance(compiled._weights, Blob)
    wanted = compiled.run(GIVEN)["made"].tolist()
    change(kept(folder)[0])
    compiled.release_file_pages()
    assert compiled.run(GIVEN)["made"].tolist() == wanted
    assert compiled.request()({"given": np.ones((7, 64), np.float32)})["made"][6].tolist() == wanted[0]


def test_pages_of_a_blob_are_the_files_and_can_be_given_back(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_cache, "_HELD_BYTES", 0)
    run(path)
    compiled = CompiledModel(path, threads=1)
    for rows in (1, 5):
        compiled.run({"given": np.ones((rows, 64), np.float32)})
    # None was written to: it would be lost with the page.
    assert mapped(folder, "Anonymous") == 0
    assert isinstance(compiled._weights, Blob)
    assert compiled._weights.tensor.data.any()  # given back while they were packed, and read again here
    assert mapped(folder, "Rss") > 0
    compiled.release_file_pages()
    assert mapped(folder, "Rss") == 0


def test_pages_that_are_locked_in_memory_stay_and_the_run_goes_on(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Locked:
        def madvise(self, _: int) -> None:
            raise OSError(errno.EINVAL, "locked")

    run(path)
    compiled = CompiledModel(path, threads=1)
    assert isinstance(compiled._weights, Blob)
    monkeypatch.setattr(compiled._weights, "_mapping", Locked())
    compiled.warm_up(GIVEN)


def mapped(folder: Path, field: str) -> int:
    """Kilobytes of mappings of files in a folder."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            ours = str(folder.resolve()) in line
        elif ours and line.startswith(f"{field}:"):
            total += int(line.split()[1])
    return total


Usage = namedtuple("Usage", ["total", "used", "free"])


def test_nothing_is_kept_where_the_disk_has_no_room(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, 1 << 20))
    assert run(path) == run(path)
    assert list(folder.iterdir()) == []


def test_a_disk_that_filled_up_meanwhile_keeps_no_half_of_a_blob(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1 << 40, 1 << 20])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, next(free)))
    run(path)
    assert list(folder.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_only_costs_the_blob(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("no folder", encoding="utf-8")
    assert run(path)[0] is run(path)[0] is ModelFile


def test_a_folder_that_cannot_be_written_costs_no_look_at_the_files(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(compilation, "sha256", None)
    assert run(path)[0] is ModelFile


def test_a_folder_that_others_may_write_is_not_read(path: Path, folder: Path) -> None:
    run(path)
    folder.chmod(0o777)
    assert run(path)[0] is ModelFile


def test_the_folder_and_what_is_in_it_are_for_their_owner_alone(path: Path, folder: Path) -> None:
    run(path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir() if file.suffix in (".blob", ".json"))


def test_what_was_used_longest_ago_is_deleted_beyond_the_limit(tmp_path: Path, folder: Path) -> None:
    paths = []
    for number, width in enumerate((60, 62, 64)):
        (place := tmp_path / str(number)).mkdir()
        paths.append(product(place, width))
    made: list[Path] = []
    for number, path in enumerate(paths[:2]):
        CompiledModel(path, threads=1)
        (new,) = set(kept(folder)).difference(made)
        made.append(new)
        os.utime(new.with_suffix(".json"), (1000 + number, 1000 + number))
    CompiledModel(paths[0], threads=1)  # used again
    (folder / "orphan.blob").write_bytes(b"left by a process that ended")
    (stale := folder / ".part-1").mkdir()
    os.utime(stale, (1, 1))
    (fresh := folder / ".part-2").mkdir()
    sizes = sum(blob.stat().st_size for blob in made)
    limited = BlobCache(folder, limit_bytes=sizes + 4096)
    with limited.writing(1000) as part:
        assert part is not None
        made_now = compilation.compile_model(ModelFile(paths[2]).model, {"CACHE_DIR": str(part)})
        limited.keep("third", part, made_now.names)
    assert kept(folder) == sorted([made[0], folder / "third.blob"])
    assert not stale.exists()
    assert fresh.exists()


@pytest.mark.process
def test_processes_that_begin_at_once_all_answer_and_leave_one_blob(path: Path, folder: Path) -> None:
    code = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n" + RUN
    command = [sys.executable, "-c", code, str(path)]
    runs = [
        subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(3)
    ]
    for process in runs:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate()[0] for process in runs}
    assert all(process.returncode == 0 for process in runs)
    assert len(answers) == 1
    assert len(kept(folder)) == 1
    assert run(path)[0] is Blob
    assert not list(folder.glob(".part-*"))


def test_a_release_that_imports_from_no_memory_compiles_each_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = run(path)
    monkeypatch.setattr(compilation, "_imports_from_memory", lambda: False)
    monkeypatch.setattr(BlobCache, "find", lambda *_: pytest.fail("it looked for a blob"))
    assert run(path)[1] == kept[1]
