"""`overtone tune`: the fastest settings on this machine, for the user's own audio, as a profile."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import overtone
from overtone.audio.inputs import expand
from overtone.cli import console, tune_report
from overtone.cli.amx import amx_advice
from overtone.cli.batch_run import Inputs, Quiet
from overtone.cli.exit_codes import INTERRUPTED
from overtone.cli.options import explicit_options, with_options
from overtone.errors import Code, InputError, UsageError
from overtone.models.checkpoints import find
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.output.times import duration
from overtone.system.devices import resolve_devices
from overtone.system.machine import processor_name, usable_cpus
from overtone.tools.tuning import profile
from overtone.tools.tuning.axes import axes_for
from overtone.tools.tuning.sampling import Sample, take_sample
from overtone.tools.tuning.search import MIN_AGREEMENT, Trial
from overtone.tools.tuning.session import ReportedTrial, Session

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

Time = Annotated[str, typer.Option("--time", metavar="TIME", help="Time for all trials: seconds, 5m or 1h.")]
AudioS = Annotated[float, typer.Option("--audio-s", help="Seconds of the inputs that are used, from the first one on.")]
LeastAgreement = Annotated[
    float, typer.Option("--least-agreement", help="Share of segments that have to keep their label of fp32: 0 to 1.")
]
ProfilePath = Annotated[str, typer.Option("-o", "--output", help="The profile to write, for --profile.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", "--force", help="Replace the profile that is there already.")]


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """Arguments of the command, beside the options. Seconds."""

    output: str
    time_s: float
    audio_s: float
    min_agreement: float

    def check(self, *, overwrite: bool) -> None:
        """Raise UsageError for arguments that cannot be, before anything runs."""
        if not self.audio_s >= 1:
            raise UsageError(f"--audio-s is {self.audio_s:g}; give 1 or more seconds.")
        if not 0 <= self.min_agreement <= 1:
            raise UsageError(f"--least-agreement is {self.min_agreement:g}; 0 to 1 is possible, a share of segments.")
        if os.path.isdir(self.output):
            raise UsageError(f"{self.output} is a folder; name the profile to write with -o.")
        if os.path.exists(self.output) and not overwrite:
            raise UsageError(f"{self.output} is there already; give --overwrite to replace it, or another -o.")


@with_options(Options, profile=False)
def tune(
    inputs: Inputs,
    time: Time = "5m",
    output: ProfilePath = "overtone-profile.toml",
    overwrite: Overwrite = False,
    audio_s: AudioS = 120.0,
    least_agreement: LeastAgreement = MIN_AGREEMENT,
    quiet: Quiet = False,
    **options: Any,
) -> int:
    """Try precisions, threads, batches and segments on your audio, each in a process of its own; write the fastest.

    What you set yourself, here or in the environment or the config file, stays as it is. Precisions other than fp32
    have to agree with it; every trial keeps to --memory.
    """
    request = TuneRequest(output, seconds_of(time), audio_s, least_agreement)
    request.check(overwrite=overwrite)
    fixed = {*loading.settings(), *explicit_options(options)}
    base = loading.load(Options, **explicit_options(options))
    find(base.model, hub=base.hub)  # what cannot be had is said once, and not by every trial
    device = ",".join(resolve_devices(base.device))
    with tempfile.TemporaryDirectory(prefix="overtone-tune-") as folder:
        sample = take_sample(expand(inputs), request.audio_s, Path(folder), console.print_error)
        _check(sample, request, quiet=quiet)
        axes = axes_for(base, fixed, device, usable_cpus(), sample.stats)
        session = Session(base.replace(device=device), axes, sample, request.time_s, request.min_agreement)
        remarks, code = _advice(device, axes.precision), 1 if sample.failed else 0
        try:
            if not session.run(_trial_printer(quiet=quiet)):
                remarks.append(f"There was no time for all trials; --time {time} was given.")
        except KeyboardInterrupt:
            # What is known so far is worth keeping; a second Ctrl-C ends that as well.
            console.err.print()
            remarks, code = [*remarks, "Interrupted before all was tried."], INTERRUPTED
    if code == INTERRUPTED and session.best() is None:
        return code
    _report(session, request, explicit_options(options), remarks)
    return code


def seconds_of(text: str) -> float:
    """`90`, `90s`, `5m`, `1.5h` in seconds. UsageError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([smh]?)\s*", text)
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"--time {text!r} is no time; write it like 300, 90s, 5m or 1h.")
    return seconds


def _advice(device: str, precisions: Sequence[str]) -> list[str]:
    """A remark on the processor, where precisions are tried that it bears on."""
    advice = amx_advice() if device == "cpu" and {"bf16", "int8"} <= {*precisions} else None
    return [] if advice is None else [f"{advice[0].upper()}{advice[1:]}."]


def _check(sample: Sample, request: TuneRequest, *, quiet: bool) -> None:
    if not sample.paths:
        raise InputError("none of the inputs can be used, so there is nothing to try settings on.", code=Code.NO_AUDIO)
    if sample.cut and not quiet:
        console.print_note(f"only the first {duration(request.audio_s)} of the inputs are used; --audio-s takes more.")


def _trial_printer(*, quiet: bool) -> Callable[[Trial, ReportedTrial | None], None]:
    """Printer to standard error of the trial that is made and, on the same line, of its outcome."""

    def on_trial(trial: Trial, measured: ReportedTrial | None) -> None:
        if quiet:
            return
        if measured is None:
            console.err.print(f"[dim]{tune_report.trial_line(trial)}:[/]", end=" ")
        else:
            speed = "failed" if measured.row.speed is None else f"{measured.row.speed:.1f} × real time"
            console.err.print(f"[dim]{speed}[/]")

    return on_trial


def _report(session: Session, request: TuneRequest, given: Mapping[str, Any], remarks: list[str]) -> None:
    """Print the settings found and write the profile. Raises the error that says why there is none to write."""
    table, chosen = tune_report.table(session), session.best()
    console.out.print(table)
    console.out.print(f"[dim]{tune_report.LEGEND}[/]", soft_wrap=True)
    remarks = [*remarks, *tune_report.failure_reasons(session)]
    for remark in remarks:
        console.out.print(console.shown(remark), soft_wrap=True)
    if chosen is None:
        raise tune_report.no_setting_error(session)
    machine = f"{processor_name()}, {usable_cpus()} cores"
    head = [
        f"Made by overtone {overtone.__version__} on {datetime.date.today().isoformat()}, by trying it on "
        f"{duration(session.sample.stats.audio_s)} of audio.",
        f"{machine}. Use it with: overtone emotion FILES --profile {request.output}",
        "",
        *tune_report.as_text(table).splitlines(),
        tune_report.LEGEND,
        *remarks,
    ]
    profile.write(request.output, _values(session, chosen.row.trial, given), head)
    console.out.print(
        f"[bold]{console.shown(request.output)}[/] holds the chosen one; use it with --profile.", soft_wrap=True
    )


def _values(session: Session, chosen: Trial, given: Mapping[str, Any]) -> dict[str, profile.Value]:
    """Values of the profile: those typed, those tried, and the model and device they are for."""
    options = session.options(chosen)
    tuned = asdict(chosen)
    if options.whole or options.segment != "vad":
        del tuned["max_segment"]  # it says nothing there
    values = {"model": None, "device": None, **given, **tuned}
    values |= {"model": profile.absolute_path(options.model), "device": options.device}
    return {name: value for name, value in values.items() if value is not None}
