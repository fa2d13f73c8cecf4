"""Policy, pure: who holds what of a bounded number of places or bytes, and who is next. No clock, no threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from overtone.batching.fair_order import FairOrder
from overtone.batching.flow import Flow


@dataclass(slots=True, eq=False)
class Claim:
    """A share of `Slots` that one request wants, or holds. Made by `Slots.enter`.

    - `urgent`: it may have of the reserve.
    - `granted`: it holds `size` now, and else it waits; `reserved`: of the reserve.
    """

    flow: Flow
    size: int
    urgent: bool = False
    granted: bool = False
    reserved: bool = False


class Slots:
    """Places or bytes that requests hold for a while, granted in a `FairOrder`; a part may be reserved.

    The reserve goes only to urgent claims, and only when the rest is taken, so those who hold for long cannot hold
    everything; a claim larger than it waits for the rest alone, and holds up no smaller one. Nothing that waits for the
    rest is ever passed: a claim larger than it is granted alone.

    - `capacity`: of all; `reserved`: of that, for urgent claims.
    - `quantum`: see `FairOrder`.
    - `most_of_one`: what one tenant may hold at once, beside the reserve; None for everything.
    """

    def __init__(self, capacity: int, reserved: int = 0, *, quantum: int, most_of_one: int | None = None) -> None:
        self.capacity, self.reserved = capacity, reserved
        self._most_of_one = most_of_one
        self._waiting: dict[Claim, None] = {}  # in the order in which they came
        # Sums of what is held, so that no change has to count everything again.
        self._held = self._held_reserved = 0
        self._of_tenant: Counter[Hashable] = Counter()  # beside the reserve
        self._of_flow: Counter[Flow] = Counter()
        # What is reserved has its own turns: an order forgets whoever does not wait for all that it is asked about.
        self._order, self._urgent_order = FairOrder(quantum), FairOrder(quantum)

    @property
    def in_use(self) -> int:
        """The amount held now, in all."""
        return self._held + self._held_reserved

    @property
    def waiting(self) -> int:
        """The number of claims that wait."""
        return len(self._waiting)

    def holds(self, flow: Flow) -> bool:
        """True if a request holds anything."""
        return flow in self._of_flow

    def enter(self, flow: Flow, size: int, *, urgent: bool = False) -> Claim:
        """A claim that waits from now on; `grant` says when it is granted."""
        claim = Claim(flow, size, urgent)
        self._waiting[claim] = None
        return claim

    def leave(self, claim: Claim) -> None:
        """Give back what a claim holds, or stop waiting; once it has done so, nothing."""
        self._waiting.pop(claim, None)
        if claim.granted:
            claim.granted = False
            self._count(claim, -1)

    def _count(self, claim: Claim, times: int) -> None:
        size, flow = times * claim.size, claim.flow
        if claim.reserved:
            self._held_reserved += size
        else:
            self._held += size
            self._of_tenant[flow.tenant] += size
            if not self._of_tenant[flow.tenant]:
                del self._of_tenant[flow.tenant]
        self._of_flow[flow] += times
        if not self._of_flow[flow]:
            del self._of_flow[flow]

    def grant(self) -> list[Claim]:
        """Grant everything that can be granted now, and return it. Call it after any change."""
        granted = []
        while (claim := self._next()) is not None:
            claim.granted = True
            del self._waiting[claim]
            self._count(claim, 1)
            granted.append(claim)
        return granted

    def _next(self) -> Claim | None:
        if waiting := [claim for claim in self._waiting if self._may_have_more(claim)]:
            claim = self._due(self._order, waiting)
            if not self._held or self._held + claim.size <= self.capacity - self.reserved:
                self._order.charge(claim.flow, claim.size)
                return claim
        if urgent := [claim for claim in self._waiting if claim.urgent and claim.size <= self.reserved]:
            claim = self._due(self._urgent_order, urgent)
            if self._held_reserved + claim.size <= self.reserved:
                self._urgent_order.charge(claim.flow, claim.size)
                claim.reserved = True
                return claim
        return None

    def _may_have_more(self, claim: Claim) -> bool:
        if self._most_of_one is None:
            return True
        held = self._of_tenant.get(claim.flow.tenant, 0)
        return not held or held + claim.size <= self._most_of_one

    @staticmethod
    def _due(order: FairOrder, waiting: list[Claim]) -> Claim:
        firsts: dict[Flow, Claim] = {}
        for claim in waiting:
            firsts.setdefault(claim.flow, claim)
        return firsts[order.due({flow: claim.size for flow, claim in firsts.items()})]
