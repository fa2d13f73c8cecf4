"""Errors and their codes: plain texts to whoever reads them, one set of names inside."""

from __future__ import annotations

import json
import pickle

import pytest

import overtone
from overtone import errors
from overtone.errors import ErrorCode, InputError, OvertoneError, RefusedError, with_source

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OvertoneError)]


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_its_text_wherever_it_is_written(code: ErrorCode):
    text = code.value
    assert type(text) is str
    assert code == text
    assert hash(code) == hash(text)
    assert str(code) == f"{code}" == "%s" % code == text  # noqa: UP031 - as logging does it
    assert f"{code:>20}" == f"{text:>20}"
    assert repr(code) == repr(text)
    assert json.dumps({"code": code, code: 1}) == json.dumps({"code": text, text: 1})
    assert " ".join([code]) == text
    assert ErrorCode(text) is code is ErrorCode[text.upper()]


def test_codes_are_the_same_after_a_pickle():
    assert [pickle.loads(pickle.dumps(code)) is code for code in ErrorCode] == [True] * len(ErrorCode)
    error = pickle.loads(pickle.dumps(InputError("call.wav: no such file", code="not_found")))
    assert (type(error), error.code, str(error)) == (InputError, ErrorCode.NOT_FOUND, "call.wav: no such file")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_the_code_of_its_kind_or_the_one_given(kind: type[OvertoneError]):
    assert isinstance(kind.default_code, ErrorCode)
    assert kind("text").code is kind.default_code
    assert kind("text", code="busy").code is ErrorCode.BUSY
    assert kind("text", code=ErrorCode.BUSY).code is ErrorCode.BUSY


def test_a_code_of_another_version_is_kept():
    error = InputError("call.wav: it was eaten", code="eaten")
    assert error.code == "eaten"
    assert not error.retryable
    assert pickle.loads(pickle.dumps(error)).code == "eaten"
    assert with_source(error, "box.wav").code == "eaten"


def test_what_may_succeed_later_says_so():
    assert RefusedError("", code=ErrorCode.BUSY).retryable
    assert RefusedError("", code="not_ready").retryable
    assert not RefusedError("", code=ErrorCode.UNAUTHORIZED).retryable
    assert not InputError("", code=ErrorCode.NOT_FOUND).retryable
    assert not any(kind("").retryable for kind in (overtone.UsageError, overtone.BudgetError, overtone.CheckpointError))
