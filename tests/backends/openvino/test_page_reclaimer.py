"""Pages of weights given back while they are read."""

from __future__ import annotations

import threading

import pytest

from overtone.backends.openvino.page_reclaimer import PageReclaimer


def test_pages_are_given_back_while_the_block_runs() -> None:
    drops, dropped_thrice = [], threading.Event()

    def drop() -> None:
        drops.append(threading.current_thread())
        if len(drops) == 3:
            dropped_thrice.set()

    with PageReclaimer(drop):
        assert dropped_thrice.wait(10)
    assert threading.current_thread() not in drops[:3]


def test_they_are_given_back_once_more_at_the_end_and_never_after() -> None:
    drops = []
    with PageReclaimer(lambda: drops.append(threading.current_thread())):
        before = threading.active_count()
    assert drops[-1] is threading.current_thread()
    assert threading.active_count() == before - 1


def test_also_where_the_block_fails() -> None:
    drops = []
    with pytest.raises(ValueError, match="broken"), PageReclaimer(lambda: drops.append(threading.current_thread())):
        raise ValueError("broken")
    assert drops[-1] is threading.current_thread()


def test_where_no_thread_can_be_started_they_are_given_back_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    drops: list[None] = []
    with PageReclaimer(lambda: drops.append(None)):
        assert not drops
    assert drops == [None]
