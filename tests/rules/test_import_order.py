"""Packages import downwards only, and torch lives where it is said to live."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.paths import ROOT

PACKAGE = ROOT / "src" / "overtone"

PAGE = ROOT / "docs" / "architecture.md"
"""Its first block of code lists the packages from the top down, a rank a line: ` 3  models    what they do`."""

RANK = {
    name: int(rank)
    for rank, names in re.findall(
        r"^ *(\d+)  ((?:\w+ )+)", PAGE.read_text(encoding="utf-8").split("```")[1], re.MULTILINE
    )
    for name in names.split()
}
"""A package imports from lower ranks and from itself; packages of one rank do not import each other."""

FACES = ("__init__", "__main__")
"""Of the root, above everything: public names, loaded when they are used, and the command."""

TORCH = (
    "backends/torch/*",
    "conversion/export.py",
    "models/graph.py",
    "models/weights.py",
    "models/layers/*_attention.py",
    "models/layers/attention_kernel.py",
    "models/layers/best_token.py",
    "models/layers/inner_width.py",
    "models/layers/sanm.py",
    "models/*/network.py",
    "models/emotion2vec/conv_features.py",
    "models/emotion2vec/dense_attention.py",
    "models/emotion2vec/graphs.py",
    "models/emotion2vec/loading.py",
    "models/emotion2vec/random_checkpoint.py",
    "models/paraformer/*_network.py",
    "models/paraformer/decoder.py",
    "models/paraformer/predictor.py",
)
"""Where PyTorch is imported at the top, and so is loaded when the file is."""

UPWARD = {"presentable.py": "overtone.output"}
"""The one import that goes upwards, in a function: results look up what writes them when their methods are called."""

FILES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """The package of `overtone`, or the file at its root, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, top_only: bool) -> Iterator[str]:
    """Modules that a file imports when it runs; what is for type checkers alone does not count."""
    nodes: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = str(node.module)
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "overtone" else (module,)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif not top_only or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    here = place(path)
    if here in FACES:
        return
    for module in imports(path, top_only=False):
        parts = module.split(".")
        if parts[0] != "overtone" or len(parts) < 2 or parts[1] in ("__version__", here):
            continue
        if UPWARD.get(path.relative_to(PACKAGE).as_posix()) == module:
            assert module not in imports(path, top_only=True)
            continue
        assert RANK[parts[1]] < RANK[here], f"{here} imports {module}, which is not below it"


def test_every_package_has_a_rank() -> None:
    assert {place(path) for path in FILES} - {*FACES} == set(RANK)
    assert sorted({*RANK.values()}) == [*range(11)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_loaded_where_it_is_needed(path: Path) -> None:
    if any(path.relative_to(PACKAGE).match(where) for where in TORCH):
        return
    heavy = {module.split(".")[0] for module in imports(path, top_only=True)}
    assert not heavy & {"torch", "openvino", "matplotlib", "pyarrow", "huggingface_hub", "silero_vad", "funasr"}


def test_openvino_is_imported_in_one_place() -> None:
    """Where it is kept from telling others of its use."""
    importers = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(module.split(".")[0] == "openvino" for module in imports(path, top_only=False))
    }
    assert importers == {"backends/openvino/module.py"}


def test_importing_overtone_loads_no_runtime_and_changes_no_global() -> None:
    code = """
import os, sys, threading
before = dict(os.environ)
import overtone
loaded = {"torch", "numpy", "openvino", "av", "rich", "typer"} & set(sys.modules)
assert not loaded, loaded
assert dict(os.environ) == before
assert threading.active_count() == 1
overtone.EmotionResult, overtone.Options, overtone.expand, overtone.OvertoneError
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_these() -> None:
    import overtone

    assert sorted(overtone.__all__) == sorted(
        [
            "Audio",
            "BudgetError",
            "Code",
            "DeviceError",
            "Emotion",
            "EmotionRecognizer",
            "EmotionResult",
            "FailedInput",
            "Input",
            "InputError",
            "ModelError",
            "Options",
            "OvertoneError",
            "SegmentResult",
            "Sentence",
            "Span",
            "Timings",
            "TranscribeOptions",
            "Transcriber",
            "Transcript",
            "UsageError",
            "Word",
            "CheckpointError",
            "DownloadError",
            "OutOfMemory",
            "RefusedError",
            "LiveSession",
            "LiveUpdate",
            "RequestContext",
            "Result",
            "FrameResult",
            "SpooledArray",
            "__version__",
            "expand",
        ]
    )
    for name in overtone.__all__:
        assert getattr(overtone, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = overtone.nothing
