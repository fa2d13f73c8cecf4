"""`overtone profile`: time and memory of a run, stage by stage."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import psutil
import typer

from overtone.audio.inputs import expand
from overtone.cli import console
from overtone.cli.batch_run import Inputs
from overtone.cli.options import resolve_options, with_options
from overtone.cli.plots import StagePlot
from overtone.engine.stats import EngineStats
from overtone.options.emotion import Options
from overtone.output.formats import open_sink
from overtone.output.times import duration
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.system.machine import peak_rss_bytes, rss_bytes
from overtone.system.memory import format_size
from overtone.system.profiler import STAGES, Recording, Stage, TraceRecorder

Gantt = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option("--gantt", metavar="PNG", help="Draw who did what from when to when: every thread a lane."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already at --gantt.")]


@dataclass(frozen=True, slots=True)
class _Spent:
    """Seconds that passed, seconds of processors that the whole process took, and bytes in use at the end."""

    wall_s: float
    cpu_s: float
    bytes: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Measurements of a run. `held_bytes`: before the model; `load_peak_bytes`: the peak until it was loaded."""

    held_bytes: int
    load: _Spent
    load_peak_bytes: int
    whole: _Spent
    peak_bytes: int
    recording: Recording
    stats: EngineStats
    audio_s: float
    failed: int
    title: str
    decoders: int
    threads: int
    budget_bytes: int
    gpu: str

    @property
    def models(self) -> int:
        """Threads that run a model."""
        return max(1, sum(bool(self.recording.total(lane, "run").count) for lane in self.recording.lanes))

    def share(self, seconds: float) -> str:
        """Share of the whole, in per cent."""
        return f"{100 * seconds / self.whole.wall_s:.0f} %"


class _Watch:
    """Stopwatch of seconds and processor seconds from here on."""

    def __init__(self) -> None:
        self._began, self._cpu_s = time.perf_counter(), _cpu_s()

    def stop(self) -> _Spent:
        return _Spent(time.perf_counter() - self._began, _cpu_s() - self._cpu_s, rss_bytes())


@with_options(Options)
def profile(inputs: Inputs, gantt: Gantt = None, overwrite: Overwrite = False, **options: Any) -> int:
    """Run these inputs and show each stage's time, processor time and memory, and how well they overlap."""
    plot = StagePlot(gantt, overwrite=overwrite) if gantt is not None else None
    run = _measured(inputs, resolve_options(Options, options))
    _print(run)
    if plot is not None:
        plot.draw(run.recording, run.title)
    return 1 if run.failed else 0


def _measured(inputs: list[str], options: Options) -> _Run:
    held, watch, recorder = rss_bytes(), _Watch(), TraceRecorder(rss_bytes)
    with EmotionRecognizer.with_options(options, recorder) as recognizer:
        load, load_peak = watch.stop(), peak_rss_bytes()
        # Results are written as `emotion` writes them into a pipe, to a place that keeps nothing.
        sink = open_sink(os.devnull, format="jsonl", granularity=options.granularity, labels=recognizer.labels)
        audio_s, failed, watch = 0.0, 0, _Watch()
        recorder.start()
        for result in recognizer.stream(expand(inputs)):
            if result.error is not None:
                failed += 1
                console.print_error(str(result.error))
            console.print_warnings(result)
            if result.channel in (None, 0):  # decoded once for all channels
                audio_s += result.duration
            began = recorder.begin()
            sink.write(result)
            recorder.end("write", began, result.source)
        recording, whole = recorder.stop(), watch.stop()
        sink.close()
        runtime = recognizer.runtime
        engine = runtime.engine
        model = f"model {runtime.model.name} · {engine.precision} · {engine.device} · {_threads(runtime.threads)}"
        return _Run(
            held_bytes=held,
            load=load,
            load_peak_bytes=load_peak,
            whole=whole,
            peak_bytes=peak_rss_bytes(),
            recording=recording,
            stats=runtime.engine.stats,
            audio_s=audio_s,
            failed=failed,
            title=f"{model} · {duration(audio_s)} of audio",
            decoders=runtime.decoders,
            threads=runtime.threads,
            budget_bytes=runtime.engine.plan.budget_bytes,
            gpu=_gpu_peak(runtime.engine.device),
        )


def _print(run: _Run) -> None:
    table = console.plain_table("stage", ">seconds", ">of whole", ">CPU s", ">× real time", ">memory", "")
    load, whole = run.load, run.whole
    remark = "once, with warm-up"
    table.add_row("load", f"{load.wall_s:.3f}", "", f"{load.cpu_s:.3f}", "", format_size(load.bytes), _dim(remark))
    for stage in STAGES:
        total, first = run.recording.of(stage), run.recording.first_bytes.get(stage)
        table.add_row(
            stage,
            f"{total.busy_s:.3f}",
            run.share(total.busy_s),
            f"{total.cpu_s:.3f}",
            _speed(run, total.busy_s) if stage not in ("wait", "idle") else "",
            format_size(first) if first is not None else "",
            _dim(_remark(run, stage)),
        )
    remark = f"{duration(run.audio_s)} of audio"
    speed = _speed(run, whole.wall_s)
    table.add_row(
        "whole", f"{whole.wall_s:.3f}", "100 %", f"{whole.cpu_s:.3f}", speed, format_size(whole.bytes), _dim(remark)
    )
    console.out.print(table)
    console.out.print()
    for name, text in _lines(run).items():
        console.out.print(f"[bold]{name:<10}[/] {console.shown(text)}", soft_wrap=True)


def _remark(run: _Run, stage: Stage) -> str:
    return {
        "decode": f"in {_threads(run.decoders)}",
        "cut": "in the same threads",
        "wait": "enough audio was ready",
        "batch": "choosing what runs",
        "run": f"in {run.stats.batches} batches",
        "merge": "pooling and scores",
        "write": "JSON lines, to nowhere",
        "idle": "nothing to run",
    }[stage]


def _lines(run: _Run) -> dict[str, str]:
    stats, recording = run.stats, run.recording
    fill = 100 * stats.audio_s / stats.padded_s if stats.padded_s else 100.0
    running = run.peak_bytes > run.load_peak_bytes
    return {
        "pipeline": _pipeline(run),
        "processor": _processor(run),
        "batches": f"{stats.segments} segments in {stats.batches}; {fill:.0f} % of what was charged was audio, "
        f"the rest padding; {stats.splits} halved for memory",
        "memory": f"{format_size(run.held_bytes)} at start, {format_size(run.load.bytes)} loaded, "
        + (f"{format_size(first)} after the first batch, " if (first := recording.first_bytes.get("run")) else "")
        + f"{format_size(run.peak_bytes)} at the peak ({'running' if running else 'loading'}), "
        f"{format_size(run.whole.bytes)} at the end"
        + (f"; a batch took up to {format_size(grown)}" if (grown := recording.max_growth.get("run")) else "")
        + f"; budget {format_size(run.budget_bytes)}",
        "gpu": run.gpu,
    }


def _pipeline(run: _Run) -> str:
    """Line on the difference between the time of the model and the time of the run."""
    recording, models = run.recording, run.models
    model_s = recording.of("run").busy_s / models
    if not model_s:
        return "the model ran nothing"
    idle_s, starved_s = recording.of("idle").busy_s / models, recording.starved_s / models
    return (
        f"{run.whole.wall_s / model_s:.2f} × the model's own time; its thread waited {run.share(starved_s)} of the "
        f"whole for sources that were being read, {run.share(idle_s - starved_s)} with none to read"
    )


def _processor(run: _Run) -> str:
    """Line on the processor time: of the threads that are timed, and the rest."""
    whole, recording = run.whole, run.recording
    feeding = recording.of("decode", "cut", "wait").cpu_s
    running = recording.of("batch", "run", "idle").cpu_s
    answering = recording.of("merge", "write").cpu_s
    rest = max(0.0, whole.cpu_s - feeding - running - answering)
    parts = {"decoding and cutting": feeding, "the model's thread": running, "merging and writing": answering}
    parts["threads of the runtime and all else"] = rest
    shares = ", ".join(f"{100 * part / max(whole.cpu_s, 1e-9):.0f} % {name}" for name, part in parts.items())
    return f"{100 * whole.cpu_s / whole.wall_s:.0f} % of one core, model on {_threads(run.threads)}: {shares}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _speed(run: _Run, seconds: float) -> str:
    return f"{run.audio_s / seconds:.0f}" if seconds > 1e-3 else ""


def _dim(text: str) -> str:
    return f"[dim]{text}[/]"


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _gpu_peak(device: str) -> str:
    if not device.startswith("cuda"):
        return "not used"
    import torch

    return ", ".join(
        f"{one}: {format_size(torch.cuda.max_memory_allocated(one))} at the peak" for one in device.split(",")
    )
