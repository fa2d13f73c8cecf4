"""Policy, pure: the request that is due, fairly among tenants and among the requests of each. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from overtone.batching.deficit_round_robin import DeficitRoundRobin
from overtone.batching.flow import Flow
from overtone.types import SAMPLE_RATE

QUANTUM_S = 10.0
"""Seconds of audio that a turn pays for. Short clips, of a few seconds, are done within one turn; a file of minutes
beside them gets one such turn for each of theirs. With less it would hardly get on beside many clips, and with more
they would wait for it: 32 clips of 3 s and three long files are 126 s a round, a third more than the clips alone."""

QUANTUM_SAMPLES = int(QUANTUM_S * SAMPLE_RATE)


class FairOrder:
    """Turns among tenants, and among the requests of each; both are charged for all that a request gets.

    A tenant with a hundred requests gets no more than one with a single request, and a request of ten minutes no more
    than one of three seconds while both have something waiting. With a single request everything is in its order.

    - `quantum`: what a turn pays for: samples, bytes or places, whichever all costs are in.
    """

    def __init__(self, quantum: int = QUANTUM_SAMPLES) -> None:
        self._quantum = quantum
        self._tenants: DeficitRoundRobin[Hashable] = DeficitRoundRobin(quantum)
        self._requests: dict[Hashable, DeficitRoundRobin[Flow]] = {}

    def __len__(self) -> int:
        """The number of requests that are known: those that waited when one was last due."""
        return sum(map(len, self._requests.values()))

    def due(self, costs: Mapping[Flow, int]) -> Flow:
        """The request whose turn it is; the same again until something is charged, or comes or goes.

        - `costs`: of the first segment of each request that has one waiting, at least one, in the order in which they
          came.
        """
        of: dict[Hashable, dict[Flow, int]] = {}
        for flow, cost in costs.items():
            of.setdefault(flow.tenant, {})[flow] = cost
        self._requests = {tenant: self._requests.get(tenant, DeficitRoundRobin[Flow](self._quantum)) for tenant in of}
        firsts = {tenant: self._requests[tenant].due(waiting) for tenant, waiting in of.items()}
        return firsts[self._tenants.due({tenant: costs[first] for tenant, first in firsts.items()})]

    def charge(self, flow: Flow, cost: int) -> None:
        """Charge a request, and its tenant, for what was taken of it, whether it was due or not."""
        self._tenants.charge(flow.tenant, cost)
        if (requests := self._requests.get(flow.tenant)) is not None:
            requests.charge(flow, cost)

    def owes(self, flow: Flow) -> bool:
        """True if the request, or its tenant, was served more than its turns have paid for: it fills no batch then."""
        requests = self._requests.get(flow.tenant)
        return self._tenants.owes(flow.tenant) or (requests is not None and requests.owes(flow))
