"""One frame of `overtone top`: a service at a glance, as a person reads it at a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from overtone.cli import console
from overtone.output.times import duration
from overtone.system.memory import format_size

if TYPE_CHECKING:
    from overtone.cli.top.model import DashboardModel, MemoryUsage, RequestLatency

_BAR = 24
_ROUTES_SHOWN = 8
_NONE = "[dim]–[/]"
_NEAR, _OVER = 0.9, 1.0


def frame(view: DashboardModel, url: str, problem: str | None = None) -> RenderableType:
    """Render a frame. `problem`: why the last look failed, where it did; the rest is then from the one before."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, text in _rows(view):
        grid.add_row(name, Text.from_markup(text))
    parts: list[RenderableType] = [_heading(view), _under(view, url, problem), Text(), grid]
    if view.routes:
        parts += [Text(), _routes(view)]
    return Group(*parts)


def _heading(view: DashboardModel) -> Text:
    about = view.about
    state = "[bold green]● ready[/]" if view.ready else "[bold red]● not ready[/]"
    reason = f" [red]{escape(view.reason)}[/]" if view.reason else ""
    model = ", ".join(filter(None, (about.get("model"), about.get("precision"))))
    model += f" on {device}" if model and (device := about.get("device")) else ""
    words = (f"[bold]Overtone {escape(about.get('version', ''))}[/]", state + reason, escape(model))
    return Text.from_markup("   ".join(filter(None, (*words, f"[dim]up[/] {duration(view.up_s)}"))))


def _under(view: DashboardModel, url: str, problem: str | None) -> Text:
    over = "the first look; rates come with the second" if view.over_s is None else f"rates over {view.over_s:.3g} s"
    if problem is not None:
        return Text.from_markup(f"[bold red]{escape(problem)}[/]")
    return Text.from_markup(f"[dim]{escape(url)} · {over}[/]")


def _rows(view: DashboardModel) -> Iterator[tuple[str, str]]:
    work = view.work
    yield "requests", _requests(view)
    yield "latency", _latency(view.latency)
    yield "speed", f"{work.realtime:.1f} [dim]× real time[/]"
    yield "model", f"{_share_bar(work.busy)} busy" if work.busy is not None else _NONE
    if work.fill is not None and work.segments_per_batch is not None:
        counted = f"[dim]·[/] {work.segments_per_batch:.1f} segments each"
        yield "batches", f"{_share_bar(work.fill)} filled, {_percent(1 - work.fill)} padding {counted}"
    else:
        yield "batches", _NONE
    yield "stages", _listed(f"[dim]{escape(stage)}[/] {_seconds(mean)}" for stage, mean in view.stages.items())
    yield "queue", _queue(view)
    yield "memory", _memory(view.memory)
    yield "cache", _cache(view)
    yield "jobs", _listed(_count(count, escape(state)) for state, count in view.jobs.items())
    yield "live", f"{view.live_streams:.0f} {'stream' if view.live_streams == 1 else 'streams'}"
    yield "so far", _so_far(view)


def _requests(view: DashboardModel) -> str:
    if view.over_s is None:
        return _NONE
    colors = {"4xx": "yellow", "5xx": "bold red"}
    total = f"{_rate(sum(view.requests.values()))} [dim]a second[/]"
    kinds = {"2xx": 0.0, "4xx": 0.0, "5xx": 0.0, **view.requests}
    parts = (
        f"[dim]{escape(kind)}[/] [{colors.get(kind, 'none') if rate else 'none'}]{_rate(rate)}[/]"
        for kind, rate in sorted(kinds.items())
    )
    return "   ".join((total, *parts))


def _latency(latency: RequestLatency) -> str:
    if latency.p50_s is None or latency.p95_s is None:
        return _NONE
    return f"[dim]p50[/] {_seconds(latency.p50_s)}   [dim]p95[/] {_seconds(latency.p95_s)}"


def _queue(view: DashboardModel) -> str:
    waiting = _listed(f"[dim]{escape(kind)}[/] {_seconds(length)}" for kind, length in view.queue_s.items())
    held = f"{format_size(view.queue_bytes)} [dim]of audio,[/] {format_size(view.uploads_bytes)} [dim]of uploads[/]"
    return f"{waiting}\n{held}"


def _memory(memory: MemoryUsage) -> str:
    """A bar up to the budget: in use, up to the peak, and a mark where the plan ends."""
    most = max(memory.budget, memory.peak, memory.now, 1.0)
    used = memory.now / memory.budget if memory.budget else 0.0
    color = "red" if used > _OVER else "yellow" if used > _NEAR else "green"
    now, peak, planned = (round(_BAR * size / most) for size in (memory.now, memory.peak, memory.planned))
    cells = [f"[{color}]█[/]"] * now + ["[dim]▒[/]"] * max(0, peak - now)
    cells += ["[dim]░[/]"] * (_BAR - len(cells))
    if now < planned < _BAR:
        cells[planned] = "[bold]│[/]"
    sizes = f"{format_size(memory.now)} [dim]of[/] {format_size(memory.budget)}"
    more = f"[dim]▒ peak[/] {format_size(memory.peak)} [dim]·[/] [bold]│[/] [dim]plan[/] {format_size(memory.planned)}"
    return f"{''.join(cells)} {sizes}\n{more}"


def _cache(view: DashboardModel) -> str:
    cache = view.cache
    lately = "[dim]not asked[/]" if cache.hits is None else f"{_percent(cache.hits)} [dim]hits[/]"
    broken = "" if cache.healthy else "   [bold red]not working[/]"
    return (
        f"{lately} [dim]·[/] {_percent(cache.hits_ever)} [dim]since the start ·[/] {format_size(cache.bytes)}{broken}"
    )


def _so_far(view: DashboardModel) -> str:
    """Problems since the start."""
    refused = ", ".join(f"[yellow]{count:.0f}[/] {escape(code)}" for code, count in _most_first(view.refused))
    parts = (
        _count(view.splits, "batch halved" if view.splits == 1 else "batches halved", "yellow"),
        _count(view.restarts, "restart" if view.restarts == 1 else "restarts", "yellow"),
        f"[dim]refused:[/] {refused}" if refused else "[dim]0 refused[/]",
    )
    return _listed(iter(parts))


def _routes(view: DashboardModel) -> Table:
    table = console.plain_table("route", ">a second", ">p50", ">p95", ">failed")
    for route in view.routes[:_ROUTES_SHOWN]:
        p50, p95 = (_NONE if found is None else _seconds(found) for found in (route.latency.p50_s, route.latency.p95_s))
        failed = f"[{'yellow' if route.failed else 'dim'}]{_percent(route.failed)}[/]"
        table.add_row(escape(route.name), _rate(route.rate), p50, p95, failed)
    if (more := len(view.routes) - _ROUTES_SHOWN) > 0:
        table.add_row(f"[dim]… {more} more[/]")
    return table


def _share_bar(share: float) -> str:
    filled = round(_BAR * share)
    return f"[cyan]{'█' * filled}[/][dim]{'░' * (_BAR - filled)}[/] {_percent(share)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(count: float, what: str, color: str = "none") -> str:
    """A count and its noun, dim for none of anything, which is nothing to look at."""
    return f"[{color}]{count:.0f}[/] {what}" if count else f"[dim]0 {what}[/]"


def _listed(parts: Iterator[str]) -> str:
    return " [dim]·[/] ".join(parts) or _NONE


def _most_first(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: (-item[1], item[0]))


def _rate(rate: float) -> str:
    return f"{rate:.2g}" if 0 < rate < 1 else f"{rate:.1f}"


def _seconds(seconds: float) -> str:
    if not seconds:
        return "0 s"
    if seconds >= 10:
        return duration(seconds)
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
