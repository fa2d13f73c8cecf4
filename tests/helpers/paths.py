"""Where things are in this repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
DOCS = ROOT / "docs"
TESTS = ROOT / "tests"
