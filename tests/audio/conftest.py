"""What several tests of decoding share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from overtone.audio import DecoderPool


@pytest.fixture(scope="module", params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[DecoderPool | None]:
    """Both ways to decode."""
    if request.param == "threads":
        yield None
        return
    made = DecoderPool(1)
    yield made
    made.close()
