"""`Flow`: the segments of one request, and the tenant whose request it is."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """The segments of one request, which are run in turns with those of other requests; each object is another flow.

    - `tenant`: the owner of a key, or a client, whose requests share its turn. All without one are the same tenant's.
    """

    tenant: Hashable = None
