"""Report of a tuning for a person: the table of its trials, and the reasons why some of them failed."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from overtone.cli import console as screen
from overtone.errors import BudgetError, Code, ModelError, OvertoneError, UsageError
from overtone.system.memory import format_size
from overtone.tools.tuning.search import Trial, is_acceptable
from overtone.tools.tuning.session import ReportedTrial, Session

SETTING = ("precision", "threads", "batch", "segment")

_WIDE = 200
"""Columns of the table in a profile's comment, which no terminal limits."""

_COLUMNS = (*SETTING, "speed", "peak", "same", "diff.")

LEGEND = (
    "speed: × real time; peak: memory of the trial's process, or of the GPU; same: segments with the label of fp32; "
    "diff.: from its scores, on average"
)
"""Meaning of the columns; their heads are short, so that the table fits a terminal of 80 columns."""


def trial_columns(trial: Trial) -> tuple[str, ...]:
    """Settings of a trial as text, one for each of `SETTING`; empty where Overtone chooses."""
    threads = "" if trial.threads is None else str(trial.threads)
    batch = "" if trial.batch_size_s is None else f"{trial.batch_size_s:g} s"
    return trial.precision, threads, batch, f"{trial.max_segment:g} s"


def trial_line(trial: Trial) -> str:
    """A trial in one line: `fp32, 2 threads, batch 64 s, segment 30 s`."""
    precision, threads, batch, segment = trial_columns(trial)
    parts = {
        precision: precision,
        f"{threads} {'thread' if threads == '1' else 'threads'}": threads,
        f"batch {batch}": batch,
        f"segment {segment}": segment,
    }
    return ", ".join(part for part, value in parts.items() if value)


def table(session: Session) -> Table:
    """A row for each trial, in the order they were made."""
    made = screen.plain_table(_COLUMNS[0], *(f">{name}" for name in _COLUMNS[1:]), "")
    chosen = session.best()
    for measured in session.measured:
        style = "bold" if measured is chosen else None
        made.add_row(*_cells(session, measured, chosen=measured is chosen), style=style)
    return made


def _cells(session: Session, measured: ReportedTrial, *, chosen: bool) -> Iterator[str]:
    row, agreement = measured.row, measured.agreement
    precision, threads, batch, segment = trial_columns(row.trial)
    yield from (precision, threads, batch or "auto", segment)
    yield "" if row.speed is None else f"{row.speed:.1f} ×"
    yield format_size(row.peak_bytes) if row.completed else ""
    if agreement is not None and agreement.labels is not None and agreement.score is not None:
        yield f"{100 * agreement.labels:.1f} %"
        yield f"{agreement.score:.4f}"
    else:
        yield "" if agreement is None else f"cosine {agreement.cosine:.5f}"
        yield ""
    yield "chosen" if chosen else _remark(session, measured)


def _remark(session: Session, measured: ReportedTrial) -> str:
    row = measured.row
    if not row.completed:
        return "failed"
    if row.peak_bytes > row.budget_bytes:
        return f"over the budget of {format_size(row.budget_bytes)}"
    if not is_acceptable(session.axes, row, session.rows, session.min_agreement):
        return "differs" if row.agreement is not None else "not compared"
    return ""


def as_text(table: Table) -> str:
    """The table without colors, as wide as it is."""
    console = Console(file=io.StringIO(), width=_WIDE, color_system=None, highlight=False, emoji=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def failure_reasons(session: Session) -> list[str]:
    """Reasons why trials failed, each once, under the first setting it stopped."""
    said: dict[str, str] = {}
    for measured in session.measured:
        if measured.row.reason is not None:
            said.setdefault(measured.row.reason, f"{trial_line(measured.row.trial)}: {measured.row.reason}")
    return list(said.values())


def no_setting_error(session: Session) -> OvertoneError:
    """The error that says why no setting could be chosen."""
    rows = session.rows
    if any(row.completed for row in rows):
        return BudgetError(
            "no setting kept to its budget and agreed with fp32 as well; give more --memory, or take a smaller model."
        )
    first = session.measured[0]
    if first.code == Code.TIME:
        return UsageError(
            f"--time was up before one trial was done ({session.time_s:g} s); give more, or fewer --audio-s."
        )
    kind = BudgetError if first.code == BudgetError.default_code else ModelError
    return kind(f"no setting could be run: {first.row.reason}")
