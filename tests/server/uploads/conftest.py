"""A folder of uploads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from overtone.server.uploads import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    from helpers.server.uploading import (
        limits,  # not above: the extra [server] may be absent, and files are skipped then
    )
    from overtone.server.uploads import Spool

    with Spool(tmp_path / "uploads", limits()) as made:
        yield made
