from __future__ import annotations

import json
import mmap
from pathlib import Path

import psutil
import pytest

from helpers.waiting import until
from overtone.batching import cost_cache
from overtone.batching.cost_model import CostModel
from overtone.system import machine, memory


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up cgroup v2 tree; this process is in /outer/inner."""
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    real = machine._read

    def read(path: Path) -> str:
        return "0::/outer/inner" if str(path) == "/proc/self/cgroup" else real(path)

    monkeypatch.setattr(machine, "_read", read)
    return tmp_path


def test_cores_are_what_the_container_grants_not_what_the_host_has(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(72)), raising=False)
    assert machine.usable_cpus() == 72
    (cgroup / "outer" / "cpu.max").write_text("200000 100000")
    assert machine.usable_cpus() == 2
    (cgroup / "outer" / "inner" / "cpu.max").write_text("150000 100000")
    assert (machine.cgroup_cpu_quota(), machine.usable_cpus()) == (1.5, 2)
    (cgroup / "outer" / "inner" / "cpu.max").write_text("max 100000")
    assert machine.usable_cpus() == 2
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert machine.usable_cpus() == 1


def test_memory_left_is_the_tightest_limit_above_us(cgroup: Path) -> None:
    assert machine.cgroup_memory_left() is None
    for folder, limit, used in (("outer", 1000, 700), ("outer/inner", 900, 400)):
        (cgroup / folder / "memory.max").write_text(str(limit))
        (cgroup / folder / "memory.current").write_text(str(used))
    (cgroup / "outer" / "memory.stat").write_text("anon 600\ninactive_file 50\n")
    assert machine.cgroup_memory_left() == 350
    assert machine.available_bytes() == 350
    (cgroup / "outer" / "memory.max").write_text("max")
    assert machine.cgroup_memory_left() == 500


def test_the_default_budget_leaves_a_margin() -> None:
    left = machine.available_bytes()
    assert machine.rss_bytes() < machine.default_budget_bytes() < machine.rss_bytes() + left


def test_the_sampler_sees_memory_that_came_and_went() -> None:
    before = psutil.Process().memory_info().rss
    # A mapping of its own, not from a heap that may have kept as much.
    with memory.PeakSampler() as sampler, mmap.mmap(-1, 200 << 20) as block:
        for page in range(0, len(block), 4096):
            block[page] = 1
        until(lambda: sampler.peak_bytes - before > 150 << 20, "its thread has had a turn")
    assert sampler.peak_bytes - before > 150 << 20


def test_what_was_measured_is_kept_and_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    measured = cost_cache.MeasuredCost(CostModel(1.0, 2.0, 3.0, rtf=0.5), 1000)
    assert cost_cache.load(tmp_path, ("a", 1)) is None
    cost_cache.keep(tmp_path, ("a", 1), measured)
    assert cost_cache.load(tmp_path, ("a", 1)) == measured
    assert cost_cache.load(tmp_path, ("a", 2)) is None
    (path,) = (tmp_path / "costs").iterdir()
    for damaged in ("{", "{}", json.dumps({**measured.cost.as_dict(), "resident_bytes": "many"})):
        path.write_text(damaged, encoding="utf-8")
        assert cost_cache.load(tmp_path, ("a", 1)) is None
    blocked = tmp_path / "file"
    blocked.write_text("")
    cost_cache.keep(blocked, ("a", 1), measured)
    assert cost_cache.load(blocked, ("a", 1)) is None


@pytest.mark.parametrize(
    ("flags", "there"),
    [
        ("fpu avx512f amx_bf16 avx512_fp16 amx_tile amx_int8", True),
        ("fpu avx512f avx512_bf16", False),
        ("fpu amx_tile amx_int8", False),
        ("fpu amx_tile amx_bf16x", False),
    ],
)
def test_amx_is_what_the_processor_s_flags_say(monkeypatch: pytest.MonkeyPatch, flags: str, there: bool) -> None:
    text = f"processor\t: 0\nmodel name\t: any\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n"
    monkeypatch.setattr(machine, "_read", lambda path: text if str(path) == "/proc/cpuinfo" else "")
    assert machine.has_amx() is there
    monkeypatch.setattr(machine, "_read", lambda path: "")
    assert not machine.has_amx()


def test_what_the_system_says_may_be_any_bytes(tmp_path: Path) -> None:
    """Names of mapped files are in it, which need not be UTF-8."""
    path = tmp_path / "maps"
    path.write_bytes(b"7f00-7f01 r-xp /opt/caf\xe9/lib.so\n")
    assert machine._read(path) == "7f00-7f01 r-xp /opt/caf\udce9/lib.so"
