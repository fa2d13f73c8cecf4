"""Errors as the page tells them: in both languages, without what is private."""

from __future__ import annotations

import pytest

from helpers.server.page import LIMITS
from overtone.errors import InputError, RefusedError, UsageError
from overtone.server.ui.errors import TOLD, explained
from overtone.server.ui.texts import LANGUAGES
from overtone.wording import param


@pytest.mark.parametrize("code", sorted(TOLD))
def test_the_usual_errors_are_told_in_every_language(code: str) -> None:
    error = RefusedError("/private/place: nobody should read this", code=code, retry_after_s=20)
    english, chinese = (explained(error, "call.mp3", LIMITS, language) for language in LANGUAGES)
    assert english != chinese
    for told in (english, chinese):
        assert "private" not in told
        assert "{" not in told


def test_errors_name_the_limit_and_when_to_come_again() -> None:
    assert "15 min" in explained(RefusedError("", code="too_long"), "", LIMITS, "en")
    assert "256 MiB" in explained(RefusedError("", code="too_large"), "", LIMITS, "en")
    assert "约 20 秒" in explained(RefusedError("", code="busy", retry_after_s=20), "", LIMITS, "zh")


def test_other_errors_are_told_in_their_own_words_without_the_name_that_stands_beside() -> None:
    error = InputError("call.mp3: the sound ends in the middle; send it whole.", code="damaged")
    assert explained(error, "call.mp3", LIMITS, "en") == "The sound ends in the middle; send it whole."
    assert explained(error, "call.mp3", LIMITS, "zh").startswith("无法处理：")


def test_faults_tell_nothing_of_the_machine() -> None:
    for error in (ValueError("/etc/secret: line 3"), InputError("x: OSError('/etc/secret')", code="fault")):
        assert "secret" not in explained(error, "x", LIMITS, "en")


def test_options_are_called_as_the_page_calls_them() -> None:
    error = UsageError(f"{param('window')} is 900; 0.1 to 600 is possible.")
    assert explained(error, "", LIMITS, "en") == "“Window, seconds” is 900; 0.1 to 600 is possible."
