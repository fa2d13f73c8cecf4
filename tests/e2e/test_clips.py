"""The real audio that comes with the tests: little, and each file with its licence."""

from __future__ import annotations

import re

from helpers.clips import CLIPS

MOST = 3_000_000
"""Bytes: everyone who clones the repository carries them."""

FILES = {path.relative_to(CLIPS).as_posix(): path for path in CLIPS.rglob("*") if path.is_file()}


def test_the_clips_are_small_together() -> None:
    assert sum(path.stat().st_size for path in FILES.values()) <= MOST


def test_every_clip_is_named_with_its_source_and_licence() -> None:
    rows = re.findall(r"^\| (`.*) \| (.+) \| (.+) \| (.+) \|$", (CLIPS / "README.md").read_text("utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert named == {*FILES} - {"README.md", "LICENSE-APACHE-2.0.txt"}
