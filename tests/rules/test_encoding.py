"""Text of other processes is read as UTF-8: libraries set a locale in which it is ASCII (files: `make check`)."""

from __future__ import annotations

import re

import pytest

from helpers.paths import ROOT

TEXT = re.compile(r"\b(text|universal_newlines)=True")


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "examples", "docs", "training"])
def test_processes_are_read_as_utf8(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if TEXT.search(line)
    ]
    assert found == []
