"""Fair order of several owners who have work waiting: they take turns."""

from __future__ import annotations

from collections.abc import Mapping

from overtone.server.jobs.values import Owner


def next_owner(waiting: Mapping[Owner, int], served: Mapping[Owner, int]) -> Owner:
    """The owner to serve next: whose last turn was longest ago, so that owners take turns however much each has.

    waiting: the place in the order of arrival of the oldest work of each owner who has any; at least one. served: the
    number of each owner's last turn, from 1. Owners who had none come first, in order of arrival.
    """
    return min(waiting, key=lambda owner: (served.get(owner, 0), waiting[owner]))
