"""What a file may do to the process that decodes it, and to nothing else."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.audio_files import voice, wav16
from helpers.paths import DOCS, TESTS
from helpers.waiting import until
from overtone.audio import Decoder, DecoderPool
from overtone.audio.container import _FORMATS
from overtone.audio.decoder_limits import PROCESS_BYTES, DecoderLimits, limits_for
from overtone.errors import InputError
from overtone.system.memory import GIB, MIB

HOSTILE = TESTS / "data" / "hostile"


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(1, DecoderLimits(48 * MIB))
    yield made
    made.close()


def decode(source: object, pool: DecoderPool) -> np.ndarray:
    with Decoder(source, "it", pool) as decoder:  # type: ignore[arg-type]
        return np.concatenate(list(decoder.blocks()))


def serves_on(pool: DecoderPool) -> bool:
    return len(decode(wav16(voice(1.0)), pool)) == 16_000


@given(st.integers(1, 64 << 10), st.integers(0, 4 << 10), st.integers(1, 30))
def test_what_a_budget_holds_a_larger_one_holds(mib: int, more_mib: int, processes: int) -> None:
    left, more_left = (size * MIB - processes * limits_for(size * MIB).process_bytes for size in (mib, mib + more_mib))
    assert more_left >= left


@pytest.mark.parametrize("budget", [None, 1, 300 * MIB, GIB, 3 * GIB, 64 * GIB])
def test_a_files_share_of_a_budget_is_bounded(budget: int | None) -> None:
    limits = limits_for(budget)
    expected = {None: 256, 64 * GIB: 256, 3 * GIB: 104}.get(budget, 40)
    assert limits.memory_bytes == expected * MIB
    assert limits.process_bytes == PROCESS_BYTES + limits.memory_bytes
    assert limits.cpu_s(0.0) < limits.cpu_s(10.0)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
@pytest.mark.parametrize("path", sorted(HOSTILE.iterdir()), ids=lambda path: path.name)
def test_a_hostile_file_is_refused_or_read_within_its_memory(pool: DecoderPool, path: Path) -> None:
    assert serves_on(pool)
    process = psutil.Process(pool.pids[0])
    with suppress(InputError):
        decode(path, pool)
    if process.is_running():
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        (peak,) = (int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
        assert peak < 48 * MIB + 100 * MIB  # with what it shares with others
    assert serves_on(pool)


@pytest.mark.parametrize("kind", [MemoryError, av.error.MemoryError])
def test_want_of_memory_is_named_so_and_is_no_damage(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    error = kind(12, "Cannot allocate memory") if kind is av.error.MemoryError else kind()

    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises(InputError) as caught:
        patch.setattr(av, "open", refuse)
        Decoder(wav16(voice(1.0)))
    assert caught.value.code == "decoder_memory"
    monkeypatch.setattr("overtone.audio.file_source.to_float", refuse)
    with Decoder(wav16(voice(1.0))) as decoder, pytest.raises(InputError) as caught:
        list(decoder.blocks())
    assert caught.value.code == "decoder_memory"


class Endless:
    """A WAV of eight channels that never ends, as its header says of one that is still being written."""

    def __init__(self) -> None:
        begin, _, samples = wav16(voice(0.1, rate=96_000, channels=8), 96_000).partition(b"data")
        self._head = begin + b"data\xff\xff\xff\xff" + samples[4:]

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or bytes(size)


def test_silence_that_is_filled_in_is_worth_little_processor_time() -> None:
    limits = DecoderLimits(base_cpu_s=5.0, cpu_per_audio_s=0.5, cpu_per_silence_s=0.02)
    assert limits.cpu_s(100.0) == 55.0
    assert limits.cpu_s(3_700.0, 3_600.0) == pytest.approx(5 + 50 + 72)
    assert limits.cpu_s(10.0, 11.0) >= limits.base_cpu_s  # silence is counted before the block with it is done


def test_a_file_that_takes_too_much_processor_time_is_ended() -> None:
    pool = DecoderPool(1, DecoderLimits(base_cpu_s=0.0, cpu_per_audio_s=0.0))
    try:
        with pytest.raises(InputError, match="more processor time") as caught:
            decode(Endless(), pool)
        assert caught.value.code == "decoder_time"
        assert not caught.value.retryable
    finally:
        pool.close()


@pytest.mark.parametrize("signaled", [signal.SIGSEGV, signal.SIGFPE, signal.SIGKILL])
def test_a_process_that_dies_over_a_file_while_it_is_opened_is_that_files_error(
    pool: DecoderPool, signaled: signal.Signals
) -> None:
    class Deadly:
        def read(self, size: int) -> bytes:
            os.kill(pool.pids[0], signaled)
            return b"x" * size

    for _ in range(2):  # the second time in a process that has served before
        assert serves_on(pool)
        with pytest.raises(
            InputError, match=rf"it: the process that decoded it died \(exit -{signaled.value}\)"
        ) as caught:
            decode(Deadly(), pool)
        assert caught.value.code == "decoder_died"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux shows the limits of a process")
def test_a_process_can_open_no_file_but_its_own_and_knows_no_secret(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERTONE_KEY", "hunter2")
    assert serves_on(pool)
    (pid,) = pool.pids
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()[1:]
    limits = {line[:26].strip(): line[26:].split()[0] for line in lines}
    until(
        lambda: len(os.listdir(f"/proc/{pid}/fd")) == 4, "the file is closed: standard streams and the channel are left"
    )
    free = min(set(range(100)) - set(map(int, os.listdir(f"/proc/{pid}/fd"))))
    assert int(limits["Max open files"]) == free + 1  # and it is there that the file is put
    assert limits["Max file size"] == limits["Max core file size"] == "0"
    assert int(limits["Max address space"]) < 1 * GIB
    assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_request_that_is_cancelled_ends_its_process_and_no_later_one(pool: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav16(voice(120.0)))
    cancels: list[object] = []
    with Decoder(path, "it", pool, cancels.append) as decoder:
        blocks = decoder.blocks()
        next(blocks)
        cancels[0]()  # type: ignore[operator]
        with pytest.raises(InputError, match="was ended"):
            list(blocks)
    with Decoder(path, "it", pool) as decoder:
        blocks = decoder.blocks()
        next(blocks)
        cancels[0]()  # type: ignore[operator] # its process is another's now
        assert sum(map(len, blocks)) == 119 * 16_000


def test_the_page_lists_the_containers_that_are_read() -> None:
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    listed = re.findall(r"`(\w+)`", page.split("## What is read")[1].split("Of videos")[0])
    assert [name for name in listed if name != "concat"] == _FORMATS.split(",")
