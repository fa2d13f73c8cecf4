"""The pace of an upload: an average, asked for after a grace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helpers.server.uploading import Exchange, assert_nothing_stays, limits
from overtone.errors import RefusedError
from overtone.server.uploads import Spool
from overtone.server.uploads.rate_limit import RateLimit
from overtone.system.memory import MIB


def test_a_trickle_is_not_waited_for(tmp_path: Path) -> None:
    class Trickle(Exchange):
        async def _receive(self) -> dict[str, Any]:
            await asyncio.sleep(0.01)  # what is too slow takes time
            return {"type": "http.request", "body": b"x", "more_body": True}

    with Spool(tmp_path, limits(least_rate=MIB, grace_s=0.05)) as spool:
        with pytest.raises(RefusedError, match="at least 1 MiB per second") as caught:
            asyncio.run(Trickle(spool, (), content_type="audio/wav").run())
        assert caught.value.code == "upload_timeout"
        assert_nothing_stays(spool)


def test_the_pace_is_an_average_asked_for_after_a_grace() -> None:
    pace = RateLimit(limits(idle_s=30, least_rate=100, grace_s=10))
    assert pace.timeout_s == 10
    pace.add(500, waited_s=4)
    assert pace.timeout_s == 6  # 500 bytes would do for 5 s; the grace is longer
    pace.add(9500, waited_s=4)
    assert pace.timeout_s == 30  # 100 s are paid for, but no silence as long as that
    pace.add(0, waited_s=92)
    assert pace.timeout_s == 0
    assert "9.77 KiB came" in str(pace.refusal())
    pace = RateLimit(limits(idle_s=5, least_rate=0))
    pace.add(1, waited_s=1e6)
    assert pace.timeout_s == 5
    assert "nothing came for 5 s" in str(pace.refusal())
