"""Limits of uploads: of a file, a request, and all requests together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helpers.server.uploading import FORM, Exchange, a_file, assert_nothing_stays, form, let_go, limits, refused, sent
from overtone.errors import RefusedError, UsageError
from overtone.server.uploads import Spool
from overtone.server.uploads.receive import FORM_BYTES
from overtone.system.memory import MIB


def test_what_is_announced_too_large_is_refused_before_a_byte_is_read(spool: Spool) -> None:
    for kind, length in (("audio/wav", 8 * MIB + 1), (FORM, 8 * MIB + FORM_BYTES + 1)):
        exchange = Exchange(spool, [b"x"], content_type=kind, content_length=str(length))
        with pytest.raises(RefusedError, match="at most 8 MiB") as caught:
            asyncio.run(exchange.run())
        assert caught.value.code == "too_large"
        assert exchange.read == 0


@pytest.mark.parametrize("wrap", [lambda data: form(a_file(data)), bytes], ids=["form", "plain"])
def test_the_limit_holds_to_the_byte_whatever_is_announced(tmp_path: Path, wrap: Any) -> None:
    kind = FORM if wrap(b"") else "audio/wav"
    with Spool(tmp_path, limits(most_bytes=1000, total_bytes=1000)) as spool:
        body = wrap(b"x" * 1000)
        let_go(sent(spool, body, content_type=kind, content_length=str(len(body))))
        refused(spool, "too_large", wrap(b"x" * 1001), says="1000 bytes", content_type=kind, content_length="10")
        refused(spool, "too_large", wrap(b"x" * 600) * 2, says="1000 bytes", content_type="audio/wav")


def test_what_follows_a_form_is_bounded_as_well(spool: Spool) -> None:
    refused(spool, "too_large", form(a_file(b"x")), *[b"x" * MIB] * 10)


def test_all_files_of_a_request_count_together(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(most_bytes=1000, most_files=3, total_bytes=1000)) as spool:
        refused(spool, "too_large", form(*[a_file(b"x" * 400)] * 3))
        refused(spool, "bad_request", form(*[a_file(b"x")] * 4), says="at most 3 files")


def test_all_requests_count_together(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(most_bytes=1000, total_bytes=1500)) as spool:
        kept = sent(spool, b"x" * 1000, content_type="audio/wav")
        for announced in ({}, {"content_length": "501"}):
            with pytest.raises(RefusedError, match=r"1\.46 KiB") as caught:
                sent(spool, b"x" * 501, content_type="audio/wav", **announced)
            assert caught.value.code == "no_space"
            assert caught.value.retry_after_s
        assert spool.held_bytes == 1000
        assert len(list(spool.path.glob("upload-*"))) == 1
        let_go(kept)
        let_go(sent(spool, b"x" * 501, content_type="audio/wav"))
        assert_nothing_stays(spool)


@pytest.mark.parametrize(
    "changes",
    [{"most_bytes": 0}, {"most_files": 0}, {"idle_s": float("nan")}, {"least_rate": -1}, {"total_bytes": MIB}],
)
def test_limits_that_let_nothing_in_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="uploads: "):
        limits(**changes)
