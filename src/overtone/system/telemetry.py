"""Libraries imported so that they tell nobody of their use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"
"""What sends statistics of OpenVINO's use over the network, from a forked process: on import already, and at every
conversion, unless told not to in a file of its own. OpenVINO does without it where it is not installed."""


@contextmanager
def without_telemetry() -> Iterator[None]:
    """While the block runs, what is imported finds no telemetry to send by, and goes without from then on."""
    before = sys.modules.get(_TELEMETRY, Ellipsis)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # what an import then calls not installed
    try:
        yield
    finally:
        if before is Ellipsis:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
