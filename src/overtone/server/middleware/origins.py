"""Origin check: pages that may call the service from a browser are its own, and those of origins that are named."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from overtone.errors import Code, RefusedError
from overtone.wording import param

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class OriginPolicy:
    """Keeps pages of others from a service that only this machine is to reach.

    A browser sends any page's requests to loopback, streams too, and a page whose name is made to mean 127.0.0.1 could
    read the answers. So an `Origin` has to be the service's own or one of `origins`, and where the service listens on
    loopback without keys (`private`), so has the name that it is called by to be one of this machine.
    """

    def __init__(self, origins: tuple[str, ...], *, private: bool, host: str) -> None:
        self._origins = frozenset(origins)
        self._names = _LOOPBACK | {host} if private else None

    def check(self, scope: Scope) -> None:
        """Raise RefusedError (foreign) for a request of a page that may not call."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._names is not None and _name_of(f"//{host}") not in self._names:
            raise RefusedError("the service is called by a name that is not this machine's.", code=Code.FOREIGN)
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if urlsplit(origin).netloc != host:
            raise RefusedError(
                f"a page of another place may not call this; the service's {param('cors')} names those that may.",
                code=Code.FOREIGN,
            )


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
