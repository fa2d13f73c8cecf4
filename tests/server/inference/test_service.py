"""The threads of a service: what a request holds is given back, whatever it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from overtone.pipelines.request import RequestContext
from overtone.server.inference.admission import Admission, AdmissionLimits, Ticket
from overtone.server.inference.service import RequestLimits, Service


def refused(work: Callable[[], Any]) -> Any:
    raise RuntimeError("can't start new thread")


def raised() -> None:
    raise ValueError("of the work")


def done() -> None:
    """Nothing is wrong."""


async def given_up() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("submit", "work", "error"), [(refused, done, RuntimeError), (None, raised, ValueError), (None, done, None)]
)
def test_what_a_request_holds_is_given_back(submit: Any, work: Callable[[], None], error: Any) -> None:
    async def run() -> None:
        admission = Admission(AdmissionLimits(100.0, 100.0))
        fake: Any = SimpleNamespace(close=given_up)
        service = Service(fake, admission, fake, RequestLimits(60.0, 60.0), fake)
        threads = service._threads
        if submit is not None:
            service._threads = SimpleNamespace(submit=submit, shutdown=threads.shutdown)  # type: ignore[assignment]
        ticket = Ticket(admission, None)
        ticket.correct(5.0, 10.0)
        assert admission.queued_s == 5.0
        answer = asyncio.create_task(service._run(work, RequestContext(), ticket))
        await asyncio.wait([answer])
        assert type(answer.exception()) is (error or type(None))
        await asyncio.sleep(0)
        assert admission.queued_s == 0.0
        assert service._slots._slots.in_use == 0
        await service.close()

    asyncio.run(run())
