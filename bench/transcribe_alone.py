"""Transcription by Overtone alone: memory over long files, and steadiness over many calls."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import child
from transcribe_bench import Bench, Figures, load_once
from transcribe_material import checkpoint, write_long, write_pieces

LONG = """
from overtone.output.formats import open_sink
from overtone.pipelines.transcription import Transcriber
with Transcriber(**arguments["options"]) as transcriber:
    plan = transcriber.runtime.engine.plan
    words = sentences = 0
    began = time.perf_counter()
    with open_sink(arguments["out"], granularity="word", many=True) as sink:
        for found in transcriber.stream([arguments["source"]]):
            if found.error is not None:
                raise found.error
            sink.write(found)
            sentences += len(found.sentences)
            words += sum(len(sentence.words) for sentence in found.sentences)
    answer(audio_s=found.duration, wall_s=time.perf_counter() - began, words=words, sentences=sentences,
           speakers=found.speakers, budget_bytes=plan.budget_bytes)
"""

MANY = """
import numpy as np
import psutil
from overtone.system.machine import rss_bytes
from overtone.pipelines.transcription import Transcriber
fixed = np.random.default_rng(0).standard_normal((768, 768)).astype(np.float32)
times, machine, resident, threads = [], [], [], []
def work():
    began = time.perf_counter()
    for _ in range(4):
        fixed @ fixed
    return time.perf_counter() - began
with Transcriber(**arguments["options"]) as transcriber:
    options, before = transcriber.options, work()
    for call in range(arguments["calls"]):
        began = time.perf_counter()
        transcriber(arguments["sources"][call % len(arguments["sources"])])
        times.append(time.perf_counter() - began)
        after = work()
        machine.append((before + after) / 2)
        before = after
        resident.append(rss_bytes())
        threads.append(psutil.Process().num_threads())
    answer(times_s=times, machine_s=machine, resident_bytes=resident, threads=threads,
           same_options=transcriber.options == options)
"""

WARM_UP_CALLS = 20
STEADY_CLIPS, STEADY_CLIP_S = 10, 5.0
WINDOW = 50
"""Calls at the end that are compared with as many after the warm-up."""


def long_file(source: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Run one file to JSON lines in a child process: seconds, words, and the peak of its memory."""
    return child(LONG, source=str(source), out=str(source.with_suffix(".jsonl")), options=options)


def many_calls(sources: Sequence[Path], calls: int, warm_up: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Run the same clips over and over in one process, and compare the end with the calls after the warm-up.

    Before and after each call comes a piece of work that never changes, `machine_s` their mean: its drift is the
    machine's. `relative` is a call's time over it, whose drift is what Overtone adds to that.
    """
    found = child(MANY, sources=[str(path) for path in sources], calls=warm_up + calls, options=options)
    kept = {name: found[name][warm_up:] for name in ("times_s", "machine_s", "resident_bytes", "threads")}
    kept["relative"] = [call / fixed for call, fixed in zip(kept["times_s"], kept["machine_s"], strict=True)]
    return {**kept, "same_options": found["same_options"], "peak_bytes": found["peak_bytes"], **drifts(kept)}


def drifts(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of the last `WINDOW` calls over that of the first: of time, of memory and of threads, less 1."""
    return {
        f"{name}_drift": statistics.median(values[-WINDOW:]) / statistics.median(values[:WINDOW]) - 1
        for name, values in found.items()
    }


def memory(bench: Bench, model: str) -> Figures:
    """Overtone alone: the peak over a long file beside that over a short one."""
    given = bench.given
    small = bench.size == "small" or given.memory_shape == "small"
    precision = "fp32" if small else bench.precisions(model)[-1]
    options = {**bench.models(model, "small" if small else None), "precision": precision, "memory": given.memory}
    if "speakers" in given.also:
        options |= {
            "speakers": True,
            "speaker_model": checkpoint(bench.checkpoints, "speakers", "small" if small else "published"),
        }
    if "emotion" in given.also:
        options["emotion"] = "tiny"
    load_once(options)
    found: Figures = {}
    for name, hours in (("short", given.short_h), ("long", given.long_h)):
        path = write_long(bench.place / f"{name}.wav", bench.speech, 3600 * hours)
        found[name] = long_file(path, options)
        path.unlink()
        print(f"{model}, {hours:g} h: {found[name]}", flush=True)
    what = ", ".join([f"{'small' if small else 'published'} shape in {precision}, {given.memory}", *given.also])
    return {**found, "ratio": found["long"]["peak_bytes"] / found["short"]["peak_bytes"], "what": what}


def steady(bench: Bench, model: str) -> Figures:
    """Overtone alone: many calls in one process, in the fastest precision."""
    precision = bench.precisions(model)[-1]
    paths = write_pieces(bench.place / "steady", bench.speech, [STEADY_CLIP_S] * STEADY_CLIPS)
    found = many_calls(paths, bench.given.calls, WARM_UP_CALLS, {**bench.models(model), "precision": precision})
    return {**found, "what": f"{bench.size} shape in {precision}, clips of {STEADY_CLIP_S:g} s"}
