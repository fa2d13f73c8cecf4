"""A spool for the tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from overtone.server.uploads import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool that has to be empty again when a test is over."""
    from overtone.server.uploads import Spool, UploadLimits

    with Spool(tmp_path / "spool", UploadLimits(1 << 20, 10, 5.0, 0, 4 << 20)) as made:
        yield made
