"""The table of codes finds every way in which an error is given one."""

from __future__ import annotations

import ast
import enum
import importlib.util
from types import ModuleType

import pytest

from helpers.paths import DOCS
from overtone import errors
from overtone.errors import InputError, ModelError, RefusedError, UsageError
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
    assert found["empty"].kinds == [InputError]
    assert found["missing_extra"].kinds == [UsageError]
    assert found["process_died"].kinds == [ModelError]  # of a constant
    assert found["busy"].kinds == [RefusedError]
    assert not found["busy"].exits
    assert found["unreachable"].exits
    assert {kind.default_code for kind in maker._kinds().values()} - {*found} == {"error", "refused"}


def test_names_of_codes_are_read_where_there_are_any(maker: ModuleType, monkeypatch: pytest.MonkeyPatch):
    named = enum.Enum("Code", {"EMPTY": "empty"}, type=str)
    monkeypatch.setattr(errors, "Code", named, raising=False)
    lines = ["DIED = 'died'", "InputError('', code=Code.EMPTY if x else 'other')", "ModelError('', code=DIED)"]
    assert {*maker._raised(ast.parse("\n".join([*lines, "faults_as('first', '')"])))} == {
        ("InputError", "empty"),
        ("InputError", "other"),
        ("ModelError", "died"),
        ("InputError", "first"),
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
