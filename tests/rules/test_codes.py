"""The table of codes finds every way in which an error is given one."""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import pickle
from types import ModuleType

import pytest

from helpers.paths import DOCS
from overtone.errors import Code, InputError, ModelError, OutOfMemory, RefusedError, UsageError, with_source
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
    assert found["process_died"].kinds == [ModelError]
    assert found["busy"].kinds == [RefusedError]
    assert not found["busy"].exits
    assert found["unreachable"].exits
    assert {kind.default_code for kind in maker._kinds().values()} - {*found} == {"error", "refused"}


def test_names_of_codes_are_read(maker: ModuleType):
    lines = ["DIED = 'died'", "InputError('', code=Code.EMPTY if x else 'other')", "ModelError('', code=DIED)"]
    assert {*maker._raised(ast.parse("\n".join([*lines, "faults_as('first', '')"])))} == {
        ("InputError", "empty"),
        ("InputError", "other"),
        ("ModelError", "died"),
        ("InputError", "first"),
    }


def test_every_code_of_the_enumeration_has_a_text_or_is_inside(maker: ModuleType):
    assert {code.value for code in Code} == {*maker.codes()} | {"error", "refused"}


def test_a_code_is_a_text_like_any_other():
    code = Code.NOT_FOUND
    assert [str(code), f"{code}", f"{code:>12}"] == ["not_found", "not_found", "   not_found"]
    assert repr(code) == "'not_found'"
    assert code == "not_found"
    assert {"not_found": 1}[code] == 1
    assert json.loads(json.dumps({"code": code, code: 1})) == {"code": "not_found", "not_found": 1}
    assert pickle.loads(pickle.dumps(code)) is code
    assert not code.retryable
    assert Code.BUSY.retryable


def test_an_error_has_its_codes_member_and_keeps_a_text_that_is_none():
    for error in (InputError("", code="not_found"), pickle.loads(pickle.dumps(InputError("", code="not_found")))):
        assert error.code is Code.NOT_FOUND
    assert UsageError("").code is Code.USAGE
    assert UsageError("", code="").code is Code.USAGE
    assert RefusedError("", code="busy").retryable
    assert InputError("", code="of tomorrow").code == "of tomorrow"
    busy, full = RefusedError("m", code="busy", retry_after_s=3.0), OutOfMemory("m", left_bytes=5)
    assert pickle.loads(pickle.dumps(busy)).retry_after_s == copy.copy(busy).retry_after_s == 3.0
    assert pickle.loads(pickle.dumps(full)).left_bytes == 5
    assert (with_source(busy, "a").retry_after_s, with_source(full, "a").left_bytes) == (3.0, 5)
    assert str(pickle.loads(pickle.dumps(with_source(busy, "a")))) == "a: m"
    assert not InputError("", code="of tomorrow").retryable


def test_a_code_without_a_text_makes_no_page(maker: ModuleType, monkeypatch: pytest.MonkeyPatch):
    said = maker.texts()
    monkeypatch.setattr(maker, "texts", lambda: {**said, "nonsense": {}})
    with pytest.raises(LookupError, match="nonsense"):
        maker.page("en")
    monkeypatch.setattr(maker, "texts", lambda: {name: text for name, text in said.items() if name != "empty"})
    with pytest.raises(LookupError, match="empty"):
        maker.page("en")
