"""`overtone plan`: time and memory of a run. The model is loaded and measured; nothing goes through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from overtone.audio import probe
from overtone.audio.inputs import FailedInput, expand
from overtone.batching.cost_model import Shape
from overtone.batching.memory_plan import Plan, channel_bytes, whole_file_bytes
from overtone.cli import console
from overtone.cli.batch_run import Inputs
from overtone.cli.options import resolve_options, with_options
from overtone.engine import runtime
from overtone.errors import BudgetError, InputError, with_source
from overtone.options.emotion import Options
from overtone.output.records import to_json
from overtone.output.times import duration
from overtone.segmentation.segmenters import window_count
from overtone.system.memory import format_size
from overtone.types import SAMPLE_RATE

As = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print it.")]

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Forecast:
    """Needs of one input. `seconds` is None where the header does not say.

    - `segments`: of all its tracks; at the least that many, unless `exact`.
    - `tracks`: channels that are cut at once.
    - `run_s`: seconds for the model at the most, with every track, and the overlap of windows as often as they share
      it.
    """

    source: str
    seconds: float | None = None
    tracks: int = 1
    segments: int | None = None
    exact: bool = True
    run_s: float = 0.0
    error: str | None = None


@with_options(Options)
def plan(inputs: Inputs, format: As = "table", **options: Any) -> int:
    """Say what a run over these inputs would need: memory, batches, time.

    Loads the model to know; of the inputs it reads headers only.
    """
    started = runtime.start(resolve_options(Options, options))
    try:
        forecasts = list(_forecasts(inputs, started))
        if format == "json":
            typer.echo(to_json(_as_json(started, forecasts), indent=2))
        else:
            _show(started, forecasts)
            for forecast in forecasts:
                if forecast.error:
                    console.print_error(forecast.error)
        return 1 if any(forecast.error for forecast in forecasts) else 0
    finally:
        started.close()


def _forecasts(inputs: list[str], started: runtime.Runtime) -> Iterator[_Forecast]:
    for entry in expand(inputs):
        if isinstance(entry, FailedInput):
            yield _Forecast(entry.source, error=str(entry.error))
        elif entry.path is None:
            yield _Forecast(entry.source)
        else:
            try:
                pool, track = started.decoder_pool(), started.options.audio_track
                found = probe(entry.path, pool=pool, audio_track=track)
            except InputError as error:
                yield _Forecast(entry.source, error=str(error))
                continue
            tracks = found.channels if started.options.channels == "split" else 1
            if found.claimed_s is None:
                yield _Forecast(entry.source, tracks=tracks, error=_refusal(entry.source, 0, tracks, started))
            else:
                yield _forecast(entry.source, found.claimed_s, tracks, started)


def _forecast(source: str, seconds: float, tracks: int, started: runtime.Runtime) -> _Forecast:
    options, samples = started.options, round(seconds * SAMPLE_RATE)
    segments, exact, run = 1, True, samples
    if options.segment == "window" and not options.whole:
        window, hop = (round(s * SAMPLE_RATE) for s in (options.window, options.hop or options.window))
        segments = window_count(samples, window, hop)
        run += (segments - 1) * (window - hop)
    elif not options.whole:
        # Longer audio may be silence from end to end, and that is one segment too.
        exact = samples <= started.max_segment_samples
    error = _refusal(source, samples, tracks, started)
    return _Forecast(source, seconds, tracks, tracks * segments, exact, tracks * run / SAMPLE_RATE, error)


def _refusal(source: str, samples: int, tracks: int, started: runtime.Runtime) -> str | None:
    """Reason why a file cannot be held: whole, or with so many channels; None if it can."""
    try:
        if started.options.whole:
            whole_file_bytes(started.engine.plan, samples, tracks, of_all=True)
        else:
            channel_bytes(started.engine.plan, tracks, started.decoders)
    except BudgetError as error:
        return str(with_source(error, source))
    return None


def _totals(started: runtime.Runtime, forecasts: list[_Forecast]) -> dict[str, float]:
    shared: Plan = started.engine.plan
    usable = [f for f in forecasts if f.seconds is not None and f.error is None]
    known = [f.seconds for f in usable if f.seconds is not None]
    run_s = sum(f.run_s for f in usable)
    longest = max(known, default=0.0)
    segment_s = longest if started.options.whole else min(longest, started.engine.plan.longest_s)
    # A run holds no more at once than a full batch, or all there is.
    batch_s = min(max(shared.largest_batch_s, segment_s), max(run_s, segment_s))
    activations = shared.cost.predict(Shape(1, segment_s))
    if segment_s:
        activations = max(activations, shared.cost.predict(Shape(max(1, int(batch_s // segment_s)), segment_s)))
    audio_bytes = min(shared.audio_bytes, int(run_s * 64_000))
    if not started.options.whole:
        audio_bytes += max((channel_bytes(shared, f.tracks, started.decoders) for f in usable), default=0)
    return {
        "audio_s": sum(known),
        "peak_bytes": shared.resident_bytes + audio_bytes + activations,
        "time_s": run_s * (shared.cost.rtf or 0.0),
    }


def _as_json(started: runtime.Runtime, forecasts: list[_Forecast]) -> dict[str, Any]:
    shared = started.engine.plan
    return {
        "model": started.model.name,
        "device": started.engine.device,
        "precision": started.engine.precision,
        "threads": started.threads,
        "decoders": started.decoders,
        "budget_bytes": shared.budget_bytes,
        "resident_bytes": shared.resident_bytes,
        "audio_bytes": shared.audio_bytes,
        "batch_bytes": shared.batch_bytes,
        "largest_batch_s": shared.largest_batch_s,
        **_totals(started, forecasts),
        "inputs": [
            {"source": f.source, "duration": f.seconds, "segments": f.segments, "exact": f.exact, "error": f.error}
            for f in forecasts
        ],
    }


def _show(started: runtime.Runtime, forecasts: list[_Forecast]) -> None:
    shared, totals = started.engine.plan, _totals(started, forecasts)
    table = console.plain_table("input", ">duration", ">segments", "")
    for forecast in forecasts[:_SHOWN]:
        length = "unknown" if forecast.seconds is None else duration(forecast.seconds)
        segments = "" if forecast.segments is None else f"{'' if forecast.exact else '≥ '}{forecast.segments}"
        remark = "[red]cannot be used[/]" if forecast.error else ""
        name = escape(console.last_characters(console.for_terminal(forecast.source)))
        table.add_row(name, "" if forecast.error else length, segments, remark)
    console.out.print(table)
    if len(forecasts) > _SHOWN:
        console.out.print(f"[dim]… {len(forecasts) - _SHOWN} more[/]")
    batch = f"{shared.largest_batch_s:.0f} s of audio" if not started.options.whole else "one file"
    lines = {
        "inputs": f"{len(forecasts)}, {duration(totals['audio_s'])} of audio by their headers",
        "model": f"{started.model.name}, {started.engine.precision} on {started.engine.device}, "
        f"{started.threads} threads",
        "budget": f"{format_size(shared.budget_bytes)}: {format_size(shared.resident_bytes)} resident, up to "
        f"{format_size(shared.audio_bytes)} of audio, {format_size(shared.batch_bytes)} for a batch",
        "largest batch": batch,
        "expected peak": format_size(totals["peak_bytes"]),
        "expected time": f"{duration(totals['time_s'])} (measured on this machine at the model's first load)",
    }
    console.out.print()
    for name, text in lines.items():
        console.out.print(f"[bold]{name:<14}[/] {console.shown(text)}", soft_wrap=True)
