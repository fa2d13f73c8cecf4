"""The benchmarks' own arithmetic, and contenders: what they answer, and how they end."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import psutil
import pytest

from helpers.waiting import until
from overtone.errors import InputError, UsageError
from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.random_checkpoint import SMALL, config
from overtone.tools.benchmark import BenchmarkWorker, WorkerDied, bundled_speech, take_turns, write_wav

HERE = {"date": "2026-01-01", "processor": "one", "threads": 2}


@pytest.fixture
def bench(bench: Callable[[str], ModuleType]) -> ModuleType:
    """bench/common.py."""
    return bench("common")


@pytest.fixture
def tables(bench: ModuleType) -> ModuleType:
    """bench/vs_funasr_tables.py."""
    return importlib.import_module("vs_funasr_tables")


# Operations


def test_flops_are_those_counted_by_hand(bench):
    architecture = Architecture.from_config(config(SMALL), "small")
    # 16,000 samples through strides 5, 2, 2, 2, 2, 2, 2 with kernels 10, 3, 3, 3, 3, 2, 2:
    frames = (3199, 1599, 799, 399, 199, 99, 49)
    features = 2 * 3199 * 10 * 1 * 24
    features += sum(2 * out * kernel * 24 * 24 for out, kernel in zip(frames[1:], (3, 3, 3, 3, 2, 2), strict=True))
    features += 2 * 49 * 24 * 48
    positions = 5 * (2 * 49 * 19 * 3 * 48)  # 95 // 5 wide, 16 groups of 3 channels
    tokens = 49 + 10
    block = 2 * tokens * (48 * 144 + 48 * 48 + 48 * 192 + 192 * 48) + 2 * (2 * tokens * tokens * 48)
    parts = bench.flops_by_part(architecture, 1.0)
    assert parts == {"features": features, "positions": positions, "encoder": 3 * block}
    assert bench.flops(architecture, 1.0) == features + positions + 3 * block


def test_flops_are_those_that_pytorch_counts(bench):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from overtone.models.emotion2vec.network import Emotion2vec

    architecture = Architecture.from_config(config(SMALL), "small")
    network = Emotion2vec(architecture).eval()
    parts = bench.flops_by_part(architecture, 1.3)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        features = network.project(network.audio.local_encoder(torch.zeros(1, 20_800)))
    assert counter.get_total_flops() == parts["features"]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.audio.relative_positional_encoder(features, None)
    assert counter.get_total_flops() == parts["positions"]


# Tables


def _found(seconds: float | None, **more: object) -> dict[str, object]:
    return {"median_s": seconds, "times_s": [seconds], "peak_bytes": 100 << 20, **more}


def test_what_is_not_measured_again_is_kept_and_another_processor_s_is_not(tables):
    old = {
        "clips": {"measured": HERE, "clips": {"5": {}}},
        "cold": {"measured": {**HERE, "processor": "another"}, "starts": {}},
        "hour": {"measured": HERE, "audio_s": 1},
    }
    now = {"hour": {"measured": HERE, "audio_s": 2}}
    assert tables.merged(old, now) == {"clips": old["clips"], "hour": now["hour"]}
    assert tables.merged({}, now) == now


def test_a_table_of_all_works(tables, bench):
    clip = {
        "funasr": _found(2.0, flops=5e10),
        "fp32": _found(1.0, flops=5e10),
        "int8": _found(0.25),
        "fp32, whole": _found(1.25),
    }
    figures = {
        "clips": {
            "product": "OpenVINO",
            "clips": {"60": clip},
            "rates": {"before": {"fp32": 1e11}, "after": {"fp32": 3e11, "bf16": None}},
        },
        "folder": {
            "files": 400,
            "corpus": "of x",
            "batch_size": 8,
            "contenders": {"funasr": _found(90.0), "fp32": _found(45.0), "funasr, batch_size": _found(100.0)},
        },
        "hour": {
            "audio_s": 3600,
            "contenders": {
                "fp32": _found(300.0, rtf_over_short=1.05),
                "funasr": _found(None, error="killed by signal 9"),
            },
        },
        "cold": {"starts": {"tiny": {"fp32": {"median_s": 0.8}}}},
    }
    head, *rows = tables.table_of(figures)
    assert all(len(row) == len(head) for row in rows)
    assert rows[0][:5] == ("60 s clip", "2.00 s, 100 MiB", "1.00 s, 2.00 ×, 100 MiB", "", "0.250 s, 8.00 ×, 100 MiB")
    assert rows[0][5] == tables.CLIP_TARGETS[60]
    assert rows[1][:3] == ("60 s clip, whole file", "2.00 s, 100 MiB", "1.25 s, 1.60 ×, 100 MiB")
    assert rows[2][:3] == ("400 clips of x to JSON lines", "90.00 s, 100 MiB", "45.00 s, 2.00 ×, 100 MiB")
    assert rows[3][:2] == ("the same, FunASR with batch_size=8", "100 s, 100 MiB")
    assert rows[4][:3] == ("1 h file", "died", "300 s, 100 MiB; 1.05 × the time per second of 15 s")
    assert rows[5][:3] == ("process start to first result, tiny", "", "0.800 s")
    assert tables.fractions_of(figures) == [
        ("clip", "FunASR, fp32, of 200 GFLOP/s", "fp32, of 200 GFLOP/s", "bf16", "int8"),
        ("60 s", "12 %", "25 %", "", ""),
    ]
    # A rate that was measured later, alone, and one that was measured with another library.
    figures["rate"] = {"product": "OpenVINO", "rates": {"alone": {"fp32": 1e11, "bf16": None, "int8": 8e11}}}
    assert tables.fractions_of(figures) == [
        ("clip", "FunASR, fp32, of 100 GFLOP/s", "fp32, of 100 GFLOP/s", "bf16", "int8, of 800 GFLOP/s"),
        ("60 s", "25 %", "50 %", "", ""),
    ]
    del figures["rate"], figures["clips"]["product"]
    assert len(tables.fractions_of(figures)) == 1
    assert bench.markdown([("a", "b"), ("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n"


def test_times_are_medians_with_their_spread(bench, tables):
    assert bench.spread([0.5]) == "0.500 s"
    assert bench.spread([3.0, 1.0, 2.0]) == "2.00 s (1.00–3.00)"
    assert bench.spread([99.0, 0.25, 120.0]) == "99.00 s (0.250–120)"
    clip = {"funasr": _found(2.0) | {"times_s": [1.5, 2.0, 4.0]}}
    assert tables.table_of({"clips": {"clips": {"5": clip}}})[1][1] == "2.00 s (1.50–4.00), 100 MiB"


def test_a_picture_of_clips(tables, tmp_path):
    pytest.importorskip("matplotlib")
    clips = {"5": {"funasr": _found(1.0), "fp32": _found(0.5)}, "60": {"funasr": _found(None), "fp32": _found(5.0)}}
    tables.draw({"clips": {"clips": clips}}, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").stat().st_size < 60_000


# The machine's rate


def test_the_machine_s_rate_is_that_of_a_product_in_each_precision(bench):
    machine_rate = importlib.import_module("machine_rate")
    from overtone.backends.openvino.compiled_model import CompiledModel, has_fast_bf16

    values = np.random.default_rng(1).standard_normal((8, 64), dtype=np.float32)
    exact = CompiledModel(machine_rate.product(8, 64, 16, eight_bits=False), threads=1).infer({"x": values}).copy()
    rough = CompiledModel(machine_rate.product(8, 64, 16, eight_bits=True), threads=1, precision="int8")
    found = rough.infer({"x": values})
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()
    rates = machine_rate.measured(1)
    assert (rates["bf16"] is not None) == has_fast_bf16()
    assert all(rate > 1e8 for rate in rates.values() if rate is not None)
    assert machine_rate.rate_of({"a": {"fp32": 1.0}, "b": {"fp32": 3.0, "bf16": None}}, "fp32") == 2.0
    assert machine_rate.rate_of({"a": {"bf16": None}}, "bf16") is None


# Contenders


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """3 s of speech, its path."""
    return str(write_wav(tmp_path_factory.mktemp("clips") / "3.wav", bundled_speech(), 3))


def test_a_contender_answers_in_turn(clip, tmp_path):
    with BenchmarkWorker("overtone") as contender:
        loaded = contender.ask("load", model="tiny", threads=1)
        assert (loaded["model"], loaded["device"], loaded["threads"]) == ("tiny", "cpu", 1)
        timed = take_turns({"a": (contender, {"do": "clip", "source": clip})}, repeats=2, settle_s=0)["a"]
        assert len(timed.times_s) == 2
        assert timed.error is None
        assert timed.answer["segments_s"] == [3.0]
        assert timed.peak_bytes > 1 << 20
        found = contender.ask("folder", inputs=[clip], output=str(tmp_path / "out.jsonl"))
        assert (found["files"], found["audio_s"]) == (1, 3.0)
        assert 0 < found["run_s"] < found["seconds"]
        with pytest.raises(InputError, match="no such file"):
            contender.ask("clip", source="nowhere.wav")
        with pytest.raises(WorkerDied, match="AttributeError"):
            contender.ask("dance")
        late = take_turns({"a": (contender, {"do": "clip", "source": clip})}, repeats=1, until=time.perf_counter())["a"]
        assert (late.median_s, late.error) == (None, "not reached within the time limit")
        with pytest.raises(WorkerDied, match="time limit"):
            contender.ask("clip", source=clip, timeout_s=0)
        with pytest.raises(WorkerDied, match="stopped before"):
            contender.ask("clip", source=clip)


def test_a_contender_that_cannot_start_says_why():
    with BenchmarkWorker("nobody") as contender, pytest.raises(WorkerDied, match=r"ended with 1.*KeyError: 'nobody'"):
        contender.ask("load")
    with BenchmarkWorker("overtone") as contender, pytest.raises(UsageError, match=r"max.segment"):
        contender.ask("load", max_segment=-1.0)


def test_a_contender_that_is_closed_leaves_no_conversion_running(small_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path / "cache"))
    with BenchmarkWorker("overtone") as contender, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(contender.ask, "load", model=str(small_checkpoint))
        process = psutil.Process(contender._process.pid)

        def converting() -> list[psutil.Process]:
            assert not asked.done(), "it was converted before anyone could look"
            return process.children(recursive=True)

        at_work = until(converting, "it is being converted")
        contender.close()
        assert asked.exception() is not None
    # It ends with the one who asked for it, and is no contender's to end.
    assert psutil.wait_procs(at_work, timeout=30)[1] == []


def test_a_contender_takes_no_module_from_where_the_user_stands(tmp_path, monkeypatch):
    (tmp_path / "psutil.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    with BenchmarkWorker("overtone") as contender:
        assert contender.ask("load", model="tiny", threads=1)["model"] == "tiny"
