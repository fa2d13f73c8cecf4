"""`Session`: one open page, known by a ticket that nobody can guess, and what it has asked for last."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from overtone.errors import Code, RefusedError
from overtone.server.ui.kept import Kept, Shelf
from overtone.server.ui.run import Run
from overtone.server.ui.texts import Language

KEPT_S = 3600.0
"""Seconds after which a page that does nothing is forgotten, with its results."""

LEFT_S = 120.0
"""The same, once its browser has gone: long enough for one that only lost its connection."""

MOST = 1000
"""Pages that are known at once. What one has without results is small."""


@dataclass(slots=True, eq=False)
class Session:
    """One open page. user: who signed in. shown: file and channel that it shows; None where it shows none.

    client: whose requests its own take turns with, as `client_name`.
    dark, touched: how the page looks, and whether it is used with a finger.
    """

    ticket: str
    user: str | None
    browser: str
    client: str | None = None
    language: Language = "en"
    dark: bool = False
    touched: bool = False
    shown: tuple[int, int] | None = None
    run: Run | None = None
    runs: int = 0
    working: asyncio.Task[None] | None = field(default=None, repr=False)
    ends: float = 0.0


class Sessions:
    """All open pages. Used from the event loop. clock: the monotonic one, but for tests."""

    def __init__(self, shelf: Shelf, clock: Callable[[], float] = time.monotonic) -> None:
        self.shelf = shelf
        self._clock = clock
        self._open: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, user: str | None, browser: str, client: str | None = None) -> Session:
        """A page has been opened. browser: how to know it when its browser goes. client: as `client_name`."""
        self.sweep()
        while len(self._open) >= MOST:
            self.close(min(self._open.values(), key=lambda session: session.ends))
        session = Session(secrets.token_urlsafe(24), user, browser, client)
        self._open[session.ticket] = session
        self._used(session)
        return session

    def get(self, ticket: str) -> Session:
        """The page with that ticket. RefusedError (expired) where it is not known any more, or never was."""
        session = self._open.get(ticket)
        if session is None:
            raise RefusedError("the page has expired; reload it.", code=Code.EXPIRED)
        self._used(session)
        return session

    def _used(self, session: Session) -> None:
        session.ends = self._clock() + KEPT_S

    def knows(self, browser: str) -> bool:
        """True if a page of that browser is open, or has been left just now."""
        return any(session.browser == browser for session in self._open.values())

    def left(self, browser: str) -> None:
        """A browser has gone, or lost its connection."""
        for session in self._open.values():
            if session.browser == browser:
                session.ends = min(session.ends, self._clock() + LEFT_S)

    def sweep(self) -> None:
        """Forget pages whose time is over, but for those with work under way."""
        now = self._clock()
        for session in [session for session in self._open.values() if session.ends < now]:
            if session.working is None or session.working.done():
                self.close(session)

    def close(self, session: Session) -> None:
        """Forget a page, its work and its results."""
        self._open.pop(session.ticket, None)
        self.stop(session)
        self.clear(session)

    def close_all(self) -> None:
        """Forget them all."""
        for session in list(self._open.values()):
            self.close(session)

    def stop(self, session: Session) -> None:
        """End the work of a page."""
        if session.working is not None:
            session.working.cancel()

    def clear(self, session: Session) -> None:
        """Forget the results of a page."""
        for at in range(0 if session.run is None else len(session.run.rows)):
            self.shelf.drop((session.ticket, at))
        session.run, session.shown = None, None

    def keep(self, session: Session, at: int, kept: Kept) -> None:
        """Keep the results of a page's file. RefusedError (no_space)."""
        self.shelf.put((session.ticket, at), kept)

    def kept(self, session: Session, at: int) -> Kept | None:
        """The results of a page's file, if they are still kept."""
        return self.shelf.get((session.ticket, at))

    def all_kept(self, session: Session) -> Iterator[Kept]:
        """All results of a page that are still kept, in the order of its files."""
        for at in range(0 if session.run is None else len(session.run.rows)):
            kept = self.kept(session, at)
            if kept is not None:
                yield kept

    @property
    def working(self) -> list[asyncio.Task[None]]:
        """The work that is under way."""
        return [s.working for s in self._open.values() if s.working is not None and not s.working.done()]
