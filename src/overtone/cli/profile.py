"""`overtone profile`: where the time and the memory of a run go, stage by stage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil

from overtone import runtime
from overtone.cli import screen
from overtone.cli.emotion import Inputs
from overtone.cli.options import chosen, with_options
from overtone.emotion import EmotionRecognizer
from overtone.inputs import expand
from overtone.memory import format_size
from overtone.resources import PeakSampler, rss_bytes
from overtone.values import EmotionResult


@dataclass(slots=True)
class _Seen:
    """What is kept of results: sums, so that a profile of any length takes no memory."""

    audio_s: float = 0.0
    decode_s: float = 0.0
    cut_s: float = 0.0
    merge_s: float = 0.0
    failed: int = 0

    def add(self, result: EmotionResult) -> None:
        if result.error is not None:
            self.failed += 1
            screen.complain(str(result.error))
        if result.channel in (None, 0):  # decoded once for all channels
            self.audio_s += result.duration
            self.decode_s += result.timings.decode_s
        self.cut_s += result.timings.cut_s
        self.merge_s += result.timings.merge_s


@with_options
def profile(inputs: Inputs, **options: Any) -> int:
    """Run these inputs and show each stage's time, the processor's share, the GPU's memory, and memory growth."""
    before, began = rss_bytes(), time.perf_counter()
    with EmotionRecognizer.with_options(chosen(options)) as recognizer:
        loaded, load_s = rss_bytes(), time.perf_counter() - began
        cpu, began = _cpu_s(), time.perf_counter()
        with PeakSampler() as sampler:
            seen = _Seen()
            for result in recognizer.stream(expand(inputs)):
                seen.add(result)
        elapsed, cpu_s = time.perf_counter() - began, _cpu_s() - cpu
        stats, used = recognizer.runtime.engine.stats, recognizer.runtime
        after = rss_bytes()
        gpu = _gpu_peak(used)
    stages = {
        "load": (load_s, "once: model, warm-up, cost model"),
        "decode": (seen.decode_s, f"in {used.decoders} threads, beside the model"),
        "cut": (seen.cut_s, "voice activity and cutting, in the same threads"),
        "run": (stats.run_s, f"the model, {stats.batches} batches, {stats.segments} segments"),
        "merge": (seen.merge_s, "pooling and scores"),
        "idle": (stats.idle_s, "the model's thread had nothing to do"),
        "whole": (elapsed, f"{screen.duration(seen.audio_s)} of audio, without load"),
    }
    table = screen.plain_table("stage", ">seconds", ">of whole", ">× real time", "")
    for name, (seconds, remark) in stages.items():
        share = "" if name == "load" else f"{100 * seconds / elapsed:.0f} %"
        speed = f"{seen.audio_s / seconds:.0f}" if seconds > 1e-3 and name != "load" else ""
        table.add_row(name, f"{seconds:.3f}", share, speed, f"[dim]{remark}[/]")
    screen.out.print(table)
    fill = 100 * stats.audio_s / stats.padded_s if stats.padded_s else 100.0
    lines = {
        "processor": f"{100 * cpu_s / elapsed:.0f} % of one core, model on {used.threads} threads",
        "batches": f"{fill:.0f} % of what was charged was audio, the rest padding; {stats.splits} halved for memory",
        "memory": f"{format_size(before)} at start, {format_size(loaded)} loaded, {format_size(sampler.peak_bytes)} at "
        f"the peak, {format_size(after)} at the end; budget {format_size(used.engine.plan.budget_bytes)}",
        "gpu": gpu,
    }
    screen.out.print()
    for name, text in lines.items():
        screen.out.print(f"[bold]{name:<10}[/] {text}", soft_wrap=True)
    return 1 if seen.failed else 0


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _gpu_peak(used: runtime.Runtime) -> str:
    if not used.device.startswith("cuda"):
        return "not used"
    import torch

    return f"{used.device}: {format_size(torch.cuda.max_memory_allocated(used.device))} at the peak"
