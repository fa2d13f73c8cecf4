"""Sizes of memory as people write them."""

import pytest

from overtone.errors import UsageError
from overtone.system.memory import parse_size

SIZES = [("2GiB", 2 << 30), ("512MB", 512_000_000), ("1.5 gib", 3 << 29), ("1", 1), (7, 7), ("0.5KiB", 512)]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size_is_its_bytes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2XB", "-1", "0", "0.4", 0, -5, True, "9" * 400 + "GiB", "nan", "inf"])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(UsageError, match="is not a size of memory"):
        parse_size(text)
