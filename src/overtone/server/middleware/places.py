"""`Places`: how many connections may be open, of all and of one client, and which idle one makes room for another."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T", bound=Hashable)

_IPV6_PREFIX = 64
"""Bits that one network has; who has it has all addresses in it (RFC 4291, section 2.5.4)."""


def network_of(address: str) -> str:
    """The name under which clients of an address are counted: the address, of IPv6 its network of 64 bits."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))


def client_name(address: str | None) -> str | None:
    """The name of a client whose requests share a turn, as `network_of` it; None for text that is no address.

    A socket has none, and a proxy that is trusted may hand on any text in its place, of any length.
    """
    try:
        ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return network_of(address or "")


class TrustedProxies:
    """Addresses whose connections are of many clients: those of proxies, and this machine's own.

    listed: as uvicorn's `forwarded_allow_ips`: addresses and networks, or `*` for all.
    """

    def __init__(self, listed: str | list[str]) -> None:
        names = listed.split(",") if isinstance(listed, str) else listed
        self._all = "*" in (name.strip() for name in names)
        self._networks = [network for name in names if (network := _network(name.strip())) is not None]

    def __contains__(self, address: str) -> bool:
        """True for the address of a proxy, and for loopback."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return True  # no network brought it here
        return self._all or found.is_loopback or any(found in network for network in self._networks)


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None


class Places(Generic[_T]):
    """The connections that are open.

    most, most_of_one: in all, and of one client. many: which addresses bring many clients, and have no bound of theirs.
    An idle connection waits for a request, or for the rest of its head.
    """

    def __init__(self, most: int, most_of_one: int, many: Callable[[str], bool] = lambda address: False) -> None:
        self.most = most
        self._most_of_one, self._many = most_of_one, many
        self._of: dict[_T, str] = {}
        self._open: Counter[str] = Counter()
        self._idle: dict[str, dict[_T, None]] = {}  # of each client, the longest idle first

    def __len__(self) -> int:
        return len(self._of)

    def enter(self, connection: _T, address: str) -> _T | None:
        """A connection has come, and is idle. Gives the one to close for it: an idle one, or itself where there is
        none; None where there is room."""
        client = network_of(address)
        closed: _T | None = None
        if self._open.get(client, 0) >= self._most_of_one and not self._many(address):
            closed = self._longest_idle(client) or connection
        elif len(self._of) >= self.most:
            closed = self._longest_idle(max(self._idle, key=self._idle_count, default=client)) or connection
        if closed is not None:
            self.leave(closed)
        if closed is not connection:
            self._of[connection] = client
            self._open[client] += 1
            self.wait(connection)
        return closed

    def _idle_count(self, client: str) -> int:
        return len(self._idle[client])

    def _longest_idle(self, client: str) -> _T | None:
        return next(iter(self._idle.get(client, ())), None)

    def wait(self, connection: _T) -> None:
        """A connection is idle from now on."""
        if (client := self._of.get(connection)) is not None:
            idle = self._idle.setdefault(client, {})
            idle.pop(connection, None)
            idle[connection] = None

    def work(self, connection: _T) -> None:
        """A connection has brought a whole head; it is not closed to make room."""
        client = self._of.get(connection)
        idle = self._idle.get(client) if client is not None else None
        if client is not None and idle is not None:
            idle.pop(connection, None)
            if not idle:
                del self._idle[client]

    def leave(self, connection: _T) -> None:
        """A connection is closed, or is being closed."""
        self.work(connection)
        client = self._of.pop(connection, None)
        if client is not None:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
