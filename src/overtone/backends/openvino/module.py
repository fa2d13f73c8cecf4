"""OpenVINO, imported where it is first needed, and nowhere else."""

from __future__ import annotations

import functools
from typing import Any

from overtone.system.hidden_modules import hidden_modules
from overtone.system.telemetry import without_telemetry

_CONVERTER = "openvino.tools.ovc"
"""The converter of other frameworks' models. OpenVINO imports it with itself, where it is there, which takes a third of
the time, and running models does not need it."""


@functools.cache
def openvino() -> Any:
    """The module. Its `convert_model` is imported when it is first used."""
    with without_telemetry(), hidden_modules(_CONVERTER):
        import openvino
    if not hasattr(openvino, "convert_model"):
        openvino.__getattr__ = _converter
    return openvino


def _converter(name: str) -> Any:
    """An attribute that the module lacks: its `convert_model`, for whoever else uses it in this process, too."""
    missing = AttributeError(f"module 'openvino' has no attribute {name!r}")
    if name != "convert_model":
        raise missing
    try:
        with without_telemetry():
            from openvino.tools.ovc import convert_model
    except ImportError as error:  # OpenVINO without a converter has no such attribute, either
        raise missing from error
    openvino().convert_model = convert_model
    return convert_model


@functools.cache
def openvino_core() -> Any:
    """The `openvino.Core` of this process, which reads and compiles models."""
    return openvino().Core()


def version() -> str:
    """OpenVINO's own version."""
    return str(openvino().__version__)
