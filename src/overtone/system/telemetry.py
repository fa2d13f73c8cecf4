"""Imports of libraries without their telemetry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"
"""The package that sends statistics of OpenVINO's use over the network, from a forked process: on import already,
and at every conversion, unless a file of its user says no. OpenVINO does without it where it is not installed."""


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Hide the telemetry package while the block runs: imports in it go without from then on."""
    before = sys.modules.get(_TELEMETRY, Ellipsis)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # what an import then calls not installed
    try:
        yield
    finally:
        if before is Ellipsis:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
