"""The table of codes finds every way in which an error is given one."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from helpers.paths import DOCS, ROOT
from overtone.errors import ErrorCode, InputError, ModelError, RefusedError, UsageError
from overtone.server.api.problems import STATUSES


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_codes", DOCS / "make_codes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "make_codes", module)  # where a dataclass looks up its annotations
        spec.loader.exec_module(module)
    return module


def test_codes_are_found_with_their_kinds(maker: ModuleType):
    found = maker.codes()
    assert {*STATUSES} <= {*found}
    assert {*found} | {"error", "refused"} == {*ErrorCode}
    assert found["empty"].kinds == [InputError]
    assert found["missing_extra"].kinds == [UsageError]
    assert found["process_died"].kinds == [ModelError]  # of a constant
    assert found["busy"].kinds == [RefusedError]
    assert not found["busy"].exits
    assert found["unreachable"].exits
    assert {kind.default_code for kind in maker._kinds().values()} - {*found} == {"error", "refused"}


def test_codes_are_read_by_their_names(maker: ModuleType):
    lines = [
        "InputError('', code=ErrorCode.EMPTY if x else ErrorCode.NO_AUDIO)",
        "ModelError('', code=ErrorCode.DIED)",
        "faults_as(ErrorCode.BAD_RATE, '')",
    ]
    assert {*maker._raised(ast.parse("\n".join(lines)))} == {
        ("InputError", "empty"),
        ("InputError", "no_audio"),
        ("ModelError", "died"),
        ("InputError", "bad_rate"),
    }
    assert "empty" in maker.codes()


def test_a_code_without_a_text_makes_no_page(maker: ModuleType, monkeypatch: pytest.MonkeyPatch):
    said = maker.texts()
    monkeypatch.setattr(maker, "texts", lambda: {**said, "nonsense": {}})
    with pytest.raises(LookupError, match="nonsense"):
        maker.page("en")
    monkeypatch.setattr(maker, "texts", lambda: {name: text for name, text in said.items() if name != "empty"})
    with pytest.raises(LookupError, match="empty"):
        maker.page("en")


def texts_compared(module: ast.Module) -> list[int]:
    """Lines that compare the code of an error with a text, or look it up among texts."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Compare)
        and any(getattr(side, "attr", "") == "code" for side in (node.left, *node.comparators))
        and any(
            isinstance(part, ast.Constant) and isinstance(part.value, str)
            for side in (node.left, *node.comparators)
            for part in ast.walk(side)
        )
    ]


def branches(value: ast.expr) -> Iterator[ast.expr]:
    """The values that an expression can have, where it is a condition; else the expression itself."""
    if isinstance(value, ast.IfExp):
        yield from branches(value.body)
        yield from branches(value.orelse)
    else:
        yield value


def texts_given(module: ast.Module) -> list[int]:
    """Lines that call something with the text of a code."""
    return [
        word.value.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "code" and any(isinstance(value, ast.Constant) for value in branches(word.value))
    ]


@pytest.mark.parametrize("lines_of", [texts_compared, texts_given])
def test_the_package_names_codes_and_spells_none(lines_of: Callable[[ast.Module], list[int]]):
    package = ROOT / "src" / "overtone"
    found = {
        f"{path.relative_to(package)}:{line}"
        for path in package.rglob("*.py")
        for line in lines_of(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("error.code != 'not_found'", 1),
        ("'busy' == error.code", 1),
        ("error.code in ('died', 'closed')", 1),
        ("error.code == ErrorCode.BUSY", 0),
        ("error.code in _GONE", 0),
        ("error.name == 'busy'", 0),
    ],
)
def test_a_comparison_with_a_text_is_noticed(line: str, count: int):
    assert len(texts_compared(ast.parse(line))) == count


def test_a_text_that_is_given_as_a_code_is_noticed():
    lines = ["InputError('', code='busy')", "InputError('', code=ErrorCode.BUSY)", "E('', code=X.A if x else 'a')"]
    assert texts_given(ast.parse("\n".join(lines))) == [1, 3]


def test_statuses_are_of_codes_that_there_are():
    assert all(isinstance(code, ErrorCode) for code in STATUSES)
