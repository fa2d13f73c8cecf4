"""Sizes of memory as people write them."""

import resource

import pytest

from overtone.errors import BudgetError, UsageError
from overtone.system.memory import check_address_space, memory_error, memory_refusal, memory_remedy, parse_size

SIZES = [("2GiB", 2 << 30), ("512MB", 512_000_000), ("1.5 gib", 3 << 29), ("1", 1), (7, 7), ("0.5KiB", 512)]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size_is_its_bytes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2XB", "-1", "0", "0.4", 0, -5, True, "9" * 400 + "GiB", "nan", "inf"])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(UsageError, match="is not a size of memory"):
        parse_size(text)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (ImportError("libav.so: failed to map segment from shared object"), "libav.so: failed to map segment"),
        (OSError("lib.so: cannot allocate memory in static TLS block"), "static TLS block"),
        (RuntimeError("Exception from core.cpp:117:\ncan't alloc\n"), "can't alloc"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (MemoryError(), "the system refused memory"),
        (ImportError("No module named 'av'"), None),
        (BlockingIOError(11, "Resource temporarily unavailable"), None),
        (ValueError("bad_alloc"), None),
    ],
)
def test_a_want_of_memory_is_recognized(error: Exception, refusal: str | None) -> None:
    found = memory_refusal(error)
    if refusal is None:
        assert found is None
        assert memory_error(error) is None
        return
    assert found is not None
    assert refusal in found
    later = ValueError("what came of it")
    later.__cause__ = error
    assert f"memory ran out: {found}. " in str(memory_error(later))


def test_a_limit_on_address_space_is_part_of_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (600 << 20, 600 << 20))
    assert "600 MiB of address space (ulimit -v)" in memory_remedy()
    with pytest.raises(BudgetError, match=r"600 MiB of address space .* 1\.07 GiB are needed") as caught:
        check_address_space(0, 2)
    assert caught.value.code == "out_of_memory"
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    assert "ulimit" not in memory_remedy()
    check_address_space(1 << 50, 64)
