"""Imports of libraries without their telemetry."""

from __future__ import annotations

from contextlib import AbstractContextManager

from overtone.system.hidden_modules import hidden_modules

_TELEMETRY = "openvino_telemetry"
"""The package that sends statistics of OpenVINO's use over the network, from a forked process: on import already,
and at every conversion, unless a file of its user says no. OpenVINO does without it where it is not installed."""


def without_telemetry() -> AbstractContextManager[None]:
    """Hide the telemetry package while the block runs: imports in it go without from then on."""
    return hidden_modules(_TELEMETRY)
