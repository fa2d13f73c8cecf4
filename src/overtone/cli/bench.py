"""`overtone bench`: speed and memory of a model on this machine, beside FunASR where it is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from overtone.audio import DecoderPool, probe
from overtone.audio.inputs import FailedInput, expand
from overtone.cli import console
from overtone.cli.options import resolve_options, with_options
from overtone.errors import Code, InputError, ModelError, OvertoneError, UsageError
from overtone.models import checkpoints
from overtone.options.emotion import Options
from overtone.output.times import duration
from overtone.system.memory import format_size
from overtone.tools.benchmark import BenchmarkWorker, Timed, WorkerDied, bundled_speech, take_turns, write_wav

Files = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it
    typer.Argument(help="Audio to measure with. Default: 5, 15, 30 and 60 s of the speech that comes with Overtone."),
]
AgainstFunasr = Annotated[
    bool, typer.Option("--funasr", help="Measure FunASR too, on the same checkpoint, with as many threads.")
]
Repeats = Annotated[int, typer.Option(min=1, max=1000, help="Measurements of a clip, of which the median is shown.")]
Limit = Annotated[
    float, typer.Option(min=1.0, metavar="SECONDS", help="Stop measuring after so long, not counting loading.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

_CLIPS_S = (5, 15, 30, 60)


@dataclass(frozen=True, slots=True)
class _Clip:
    """Audio to measure with. `seconds` by its header; `error` says why it cannot be used."""

    name: str
    path: str
    seconds: float = 0.0
    error: OvertoneError | None = None


@with_options(Options)
def bench(
    files: Files = None,
    funasr: AgainstFunasr = False,
    repeats: Repeats = 3,
    limit: Limit = 120.0,
    as_json: AsJson = False,
    **options: Any,
) -> int:
    """Measure the speed and the memory of a model with these options here: seconds for a clip, and load time.

    Each program runs in a process of its own, they take turns, and a warm-up is not counted.
    """
    made = resolve_options(Options, options)
    if funasr:
        _check_funasr(made)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clips = sorted(_named(files) if files else _bundled(folder), key=lambda clip: clip.seconds)
        stack.enter_context(console.err.status("measuring"))
        loaded: dict[str, dict[str, Any]] = {}
        contenders: dict[str, BenchmarkWorker] = {}
        # Nothing is loaded for clips that cannot be used.
        names = ("overtone", *(["funasr"] if funasr else [])) if any(clip.error is None for clip in clips) else ()
        for name in names:
            contenders[name] = stack.enter_context(BenchmarkWorker(name))
            loaded[name] = _load(name, contenders[name], made, loaded.get("overtone", {}))
        until = time.perf_counter() + limit
        rows = [_row_of(clip, contenders, repeats, until) for clip in clips]
    for row in rows:
        row["cut"] = not made.whole and row["audio_s"] > made.longest_s
    if as_json:
        typer.echo(json.dumps({"loaded": loaded, "clips": rows}, indent=1))
    else:
        _show(loaded, rows, made)
    return 0 if all(row["overtone"]["median_s"] is not None for row in rows) else 1


def _check_funasr(options: Options) -> None:
    """Raise UsageError where FunASR cannot be measured against, before anything is loaded."""
    if importlib.util.find_spec("funasr") is None:
        raise UsageError("--funasr: FunASR is not installed here (pip install funasr).", code=Code.MISSING_EXTRA)
    found = checkpoints.find(options.model, hub=options.hub)
    if found.weights.suffix != ".pt":
        raise UsageError(f"--funasr: {found.name} holds no checkpoint that FunASR reads; name a published one.")


def _load(name: str, contender: BenchmarkWorker, options: Options, overtone: Mapping[str, Any]) -> dict[str, Any]:
    """The device of a contender, and seconds of loading, imports included, without work done once in a lifetime."""
    try:
        if name == "funasr":
            folder = str(checkpoints.find(options.model, hub=options.hub).folder)
            return contender.ask("load", model=folder, **{key: overtone[key] for key in ("device", "threads")})
        with BenchmarkWorker(name) as first:  # converts the model and measures its costs, if nobody has yet
            first.ask("load", **dataclasses.asdict(options))
        return contender.ask("load", **dataclasses.asdict(options))
    except WorkerDied as error:
        raise ModelError(f"{options.model}: {name} could not load it: {error}") from None


def _bundled(folder: Path) -> Iterator[_Clip]:
    speech = bundled_speech()
    for seconds in _CLIPS_S:
        yield _Clip(f"{seconds} s", str(write_wav(folder / f"{seconds}.wav", speech, seconds)), float(seconds))


def _named(files: list[str]) -> Iterator[_Clip]:
    with closing(DecoderPool(1)) as pool:
        for entry in expand(files):
            name = console.last_characters(entry.source)
            if isinstance(entry, FailedInput):
                yield _Clip(name, entry.source, error=entry.error)
            elif entry.path is None:
                raise UsageError(
                    "bench reads every input several times, which standard input does not allow; name files."
                )
            else:
                try:
                    yield _Clip(name, str(entry.path), probe(entry.path, pool=pool).claimed_s or 0.0)
                except InputError as error:
                    yield _Clip(name, str(entry.path), error=error)


def _row_of(clip: _Clip, contenders: Mapping[str, BenchmarkWorker], repeats: int, until: float) -> dict[str, Any]:
    """Measurements with a clip; where it cannot be used, the error stands in Overtone's place.

    Clips come from short to long, so that the highest memory so far is that clip's.
    """
    work = {who: (contender, {"do": "clip", "source": clip.path}) for who, contender in contenders.items()}
    try:
        if clip.error is not None:
            raise clip.error
        found = take_turns(work, repeats=repeats, until=until)
    except OvertoneError as error:
        # Nothing is compared with it, so what another made of the clip is of no use.
        found = {who: Timed() for who in work} | {"overtone": Timed(error=str(error))}
    seconds = found["overtone"].answer.get("audio_s", clip.seconds)
    return {"clip": clip.name, "audio_s": seconds, **{who: _row(timed, seconds) for who, timed in found.items()}}


def _row(timed: Timed, audio_s: float) -> dict[str, Any]:
    median = timed.median_s
    return {
        "median_s": median,
        "real_time": audio_s / median if median else None,
        "times_s": timed.times_s,
        "peak_bytes": timed.peak_bytes,
        "error": timed.error,
    }


def _show(loaded: Mapping[str, Mapping[str, Any]], rows: list[dict[str, Any]], options: Options) -> None:
    both = "funasr" in loaded
    more = (">FunASR", ">its peak", ">ratio") if both else ()
    table = console.plain_table("clip", ">audio", ">median", ">× real time", ">peak memory", *more)
    for row in rows:
        ours, theirs = row["overtone"], row.get("funasr", {})
        cells = [_seconds(ours), f"{ours['real_time']:.1f}" if ours["real_time"] else "–", _peak(ours)]
        if both:
            ratio = theirs["median_s"] / ours["median_s"] if ours["median_s"] and theirs["median_s"] else None
            cells += [_seconds(theirs), _peak(theirs), f"{ratio:.2f}" if ratio else "–"]
        length = duration(row["audio_s"]) if row["audio_s"] else "–"
        table.add_row(console.shown(row["clip"]), length, *cells)
    console.out.print(table)
    cut = ", ".join(row["clip"] for row in rows if row["cut"] and not row["overtone"]["error"])
    if both and cut:
        remark = (
            f"{cut}: cut by Overtone into segments of up to {options.longest_s:g} s, run whole by FunASR; "
            "--context full compares like with like."
        )
        console.out.print(console.shown(remark), soft_wrap=True)
    for row in rows:
        for who in ("overtone", "funasr"):
            if row.get(who, {}).get("error"):
                console.print_error(f"{row['clip']}: {who}: {row[who]['error']}")
    if not loaded:
        return
    console.out.print()
    used = loaded["overtone"]
    lines = {
        "model": f"{used['model']}, {used['precision']} on {used['device']} through {used['backend']}, "
        f"{used['threads']} threads",
        "load": "; ".join(f"{who} {found['seconds']:.2f} s" for who, found in loaded.items()) + ", imports included",
    }
    for name, text in lines.items():
        console.out.print(f"[bold]{name:<6}[/] {console.shown(text)}", soft_wrap=True)


def _seconds(found: Mapping[str, Any]) -> str:
    return "–" if found["median_s"] is None else f"{found['median_s']:.3f} s"


def _peak(found: Mapping[str, Any]) -> str:
    return "–" if found["peak_bytes"] is None else format_size(found["peak_bytes"])
