"""Results that are kept: in bounded memory, and their frames among the uploads."""

from __future__ import annotations

import pytest

from helpers.results import frames, result
from helpers.server.page import wave
from overtone.errors import RefusedError
from overtone.server.ui.kept import Kept, Shelf
from overtone.server.uploads import Spool


def test_results_are_kept_in_bounded_memory_and_the_oldest_make_room(spool: Spool) -> None:
    size = Kept.of("a", "segment", [result(envelope=wave(2000))]).memory_bytes
    shelf = Shelf(spool, 3 * size)
    for key in range(3):
        shelf.put(key, Kept.of("a", "segment", [result(envelope=wave(9000))]))
    assert shelf.get(0) is not None
    shelf.put(3, Kept.of("a", "segment", [result(envelope=wave(2000))]))
    assert [key for key in range(4) if shelf.get(key) is not None] == [0, 2, 3]
    for key in range(4):
        shelf.drop(key)
    assert shelf._held_bytes == 0


def test_frames_on_disk_count_among_the_uploads(spool: Spool) -> None:
    shelf = Shelf(spool)
    with frames(20_000) as many, frames(10) as few, frames(300_000) as huge:
        shelf.put("few", Kept.of("a", "frame", [result(frames=few)]))
        assert spool.held_bytes == 0
        shelf.put("many", Kept.of("a", "frame", [result(frames=many)]))
        assert spool.held_bytes == 20_000 * (8 + 16 + 12)
        with pytest.raises(RefusedError) as caught:
            shelf.put("huge", Kept.of("a", "frame", [result(frames=huge)]))
        assert caught.value.code == "no_space"
        shelf.put("many", Kept.of("a", "frame", [result(frames=many)]))
        shelf.drop("many")
        assert spool.held_bytes == 0
