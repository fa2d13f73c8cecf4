"""Policy, pure: deficit round robin (Shreedhar and Varghese, 1996) with overdraft. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

_T = TypeVar("_T", bound=Hashable)


class DeficitRoundRobin(Generic[_T]):
    """Turns among any number of queues: each is credited `quantum` when its turn comes, and served while that pays.

    A queue may be served more than it has credit for, or out of turn; it owes that then, and is passed over until its
    turns have paid for it. So what two queues that always have work are served differs by a bounded amount, whatever
    their work costs. A queue without work is forgotten, with what it owes, and one that is new comes last.

    - `quantum`: what a turn pays for, in the unit of all costs. Whole numbers, so that accounts come out even.
    """

    def __init__(self, quantum: int) -> None:
        self._quantum = quantum
        self._credit: dict[_T, int] = {}  # in the order of turns; the first has its turn now, if `_begun`
        self._begun = False

    def __len__(self) -> int:
        """The number of queues that are known."""
        return len(self._credit)

    def due(self, costs: Mapping[_T, int]) -> _T:
        """The queue whose work is to be done next; the same again until something is charged, or comes or goes.

        - `costs`: of the first work of each queue that has any, at least one, in the order in which they came.
        """
        self._keep(costs)
        if self._begun:
            first = next(iter(self._credit))
            if self._credit[first] >= costs[first]:
                return first
            self._end_turn()
        # Rounds in which no turn would pay for anything are passed at once.
        turns = min(-((credit - costs[queue]) // self._quantum) for queue, credit in self._credit.items())
        if turns > 1:
            for queue in self._credit:
                self._credit[queue] += (turns - 1) * self._quantum
        while True:
            first = next(iter(self._credit))
            self._credit[first] += self._quantum
            self._begun = True
            if self._credit[first] >= costs[first]:
                return first
            self._end_turn()

    def _keep(self, costs: Mapping[_T, int]) -> None:
        if self._credit and next(iter(self._credit)) not in costs:
            self._begun = False
        self._credit = {queue: credit for queue, credit in self._credit.items() if queue in costs}
        for queue in costs:
            self._credit.setdefault(queue, 0)

    def _end_turn(self) -> None:
        first = next(iter(self._credit))
        self._credit[first] = self._credit.pop(first)
        self._begun = False

    def charge(self, queue: _T, cost: int) -> None:
        """Charge a queue for work of it that is done, whether it was due or not."""
        if queue in self._credit:
            self._credit[queue] -= cost

    def owes(self, queue: _T) -> bool:
        """True if a queue was served more than its turns have paid for."""
        return self._credit.get(queue, 0) < 0
