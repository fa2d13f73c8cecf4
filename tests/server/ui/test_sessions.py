"""Pages that are open: known by a ticket, and so many at most."""

from __future__ import annotations

import pytest

from helpers.server.loops import Clock
from overtone.errors import RefusedError
from overtone.server.ui.kept import Shelf
from overtone.server.ui.sessions import KEPT_S, LEFT_S, Sessions
from overtone.server.uploads import Spool


def test_a_page_is_known_by_its_ticket_until_it_was_not_used_for_long(spool: Spool) -> None:
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    first, second = sessions.open(None, "one"), sessions.open("anna", "two")
    assert first.ticket != second.ticket
    clock.now_s += KEPT_S - 1
    assert sessions.get(first.ticket) is first
    clock.now_s += 2
    sessions.sweep()
    with pytest.raises(RefusedError) as caught:
        sessions.get(second.ticket)
    assert caught.value.code == "expired"
    assert sessions.get(first.ticket) is first


def test_a_page_whose_browser_has_gone_is_forgotten_soon_unless_it_comes_back(spool: Spool) -> None:
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    gone, back = sessions.open(None, "one"), sessions.open(None, "two")
    sessions.left("one")
    sessions.left("two")
    sessions.get(back.ticket)
    clock.now_s += LEFT_S + 1
    sessions.sweep()
    assert len(sessions) == 1
    assert sessions.get(back.ticket) is back
    assert gone is not back


def test_there_are_only_so_many_pages(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overtone.server.ui.sessions.MOST", 3)
    clock = Clock()
    sessions = Sessions(Shelf(spool), clock)
    for _ in range(10):
        clock.now_s += 1
        last = sessions.open(None, "")
    assert len(sessions) == 3
    assert sessions.get(last.ticket) is last
