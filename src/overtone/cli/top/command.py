"""`overtone top`: a running service, watched from a terminal through its metrics."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.live import Live

from overtone.cli import console
from overtone.cli.top.screen import frame
from overtone.errors import Code, OvertoneError, UsageError
from overtone.options import loading

if TYPE_CHECKING:
    from overtone.cli.top.client import MetricsClient
    from overtone.cli.top.model import MetricsWindow

Url = Annotated[str, typer.Argument(help="Where the service is.")]
Interval = Annotated[
    float, typer.Option(min=0.1, max=3600.0, metavar="SECONDS", help="From one look at the service to the next.")
]
Once = Annotated[
    bool, typer.Option("--once", help="Look twice, print one frame and end; so it is wherever there is no terminal.")
]
Key = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(help="Key of the service. Default: OVERTONE_KEY, which other users of this machine cannot see."),
]


def top(url: Url = "http://127.0.0.1:8765", interval: Interval = 2.0, once: Once = False, key: Key = None) -> int:
    """Watch a running service: requests, latency, queue, batches, memory, cache, jobs. Ctrl-C ends it."""
    try:
        from overtone.cli.top.client import MetricsClient
        from overtone.cli.top.model import MetricsWindow
    except ImportError as error:
        raise UsageError(
            "top needs prometheus-client: pip install 'overtone[server]'", code=Code.MISSING_EXTRA
        ) from error
    service, window = MetricsClient(url, key or loading.environment("OVERTONE_KEY")), MetricsWindow()
    try:
        if once or not sys.stdout.isatty() or console.out.is_dumb_terminal:
            _show_once(service, window, interval)
        else:
            _show_on(service, window, interval)
    except KeyboardInterrupt:
        pass  # how it ends
    return 0


def _show_once(service: MetricsClient, window: MetricsWindow, interval: float) -> None:
    window.add(service.scrape())
    time.sleep(interval)
    console.out.print(frame(window.add(service.scrape()), service.url))


def _show_on(service: MetricsClient, window: MetricsWindow, interval: float) -> None:
    """Show frame after frame. A service that was there once is waited for when it is gone: it may be starting anew."""
    view, problem = window.add(service.scrape()), None
    with Live(console=console.out, screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(view, service.url, problem), refresh=True)
            time.sleep(interval)
            try:
                view, problem = window.add(service.scrape()), None
            except OvertoneError as error:
                problem = str(error)
