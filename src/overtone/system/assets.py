"""Files that ship inside this package."""

from __future__ import annotations

import importlib.resources
from pathlib import Path


def asset(*names: str) -> Path:
    """A file or folder that ships inside this package."""
    return Path(str(importlib.resources.files("overtone"))).joinpath("assets", *names)
