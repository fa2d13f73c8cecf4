"""Weights against a memory budget, before any of them is read or converted. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from overtone.batching.memory_plan import SAFETY_MARGIN_BYTES, memory_param, sufficient_mib
from overtone.errors import BudgetError
from overtone.system.memory import MIB, format_size

_RUN_BYTES, _RUN_FACTOR = 512 * MIB, 2.0
"""Bytes of a run beside its weights, and how many times those are counted: generous, for a suggestion. With base in
float32 (355 MiB of weights) 1152 MiB would do on two cores."""

_CONVERTER_BYTES = 360 * MIB
"""Bytes of a process that converts, beside weights: PyTorch and OpenVINO. Seen: 691 MiB in all for 355 of weights."""

_CONVERSION_FACTOR = {"fp32": 1.0, "int8": 4.0}
"""Times that a process that converts holds the float32 weights. Seen for int8: 1755 MiB in all for 355 of weights."""


@dataclass(frozen=True, slots=True)
class LoadingBudget:
    """Memory while a model is loaded. `limit_bytes`: of the process and its children together, or of the device.

    beside_bytes: of it, held by other processes meanwhile.
    """

    limit_bytes: int
    beside_bytes: int = 0


def enough_bytes(weight_bytes: int, held_bytes: int, precision: str = "fp32") -> int:
    """A budget that holds the conversion to a precision and a run, estimated from the weights in float32."""
    run = int(_RUN_FACTOR * weight_bytes) + _RUN_BYTES
    return held_bytes + max(run, conversion_bytes(weight_bytes, precision) + SAFETY_MARGIN_BYTES)


def conversion_bytes(weight_bytes: int, precision: str) -> int:
    """Bytes that the process which converts to a precision holds; weight_bytes: of the weights in float32."""
    return _CONVERTER_BYTES + int(_CONVERSION_FACTOR[precision] * weight_bytes)


def check_weights(name: str, weight_bytes: int, *, held_bytes: int, budget_bytes: int, available_bytes: int) -> None:
    """Raise BudgetError, with a number that would do, if a model's weights alone are too many for budget or machine.

    Of a model whose weights are within the safety margin the need is measured instead, and the refusal is exact.

    - `held_bytes`: those that the process holds already.
    - `budget_bytes`: limit of the process, or of the device.
    - `available_bytes`: those that the machine has left.
    """
    if weight_bytes > SAFETY_MARGIN_BYTES and held_bytes + weight_bytes > budget_bytes:
        raise BudgetError(
            f"{format_size(budget_bytes)} cannot hold {name}: its weights are {format_size(weight_bytes)}"
            f"{_beside(held_bytes)}; {_suggestion(enough_bytes(weight_bytes, held_bytes))} would do. Or take a smaller "
            "model."
        )
    if weight_bytes > available_bytes:
        raise BudgetError(
            f"{name} cannot be held: its weights are {format_size(weight_bytes)}, and this machine has "
            f"{format_size(available_bytes)} left. Take a smaller model, or free memory."
        )


def check_conversion(name: str, weight_bytes: int, precision: str, *, held_bytes: int, budget_bytes: int) -> None:
    """Raise BudgetError, with a number that would do, if converting a model takes more than is left of the budget."""
    needed = conversion_bytes(weight_bytes, precision)
    if held_bytes + needed > budget_bytes:
        raise BudgetError(
            f"{format_size(budget_bytes)} cannot hold the conversion of {name} to {precision}, which is made once and "
            f"takes {format_size(needed)}{_beside(held_bytes)}; "
            + conversion_advice(weight_bytes, held_bytes, precision)
        )


def conversion_advice(weight_bytes: int, held_bytes: int, precision: str) -> str:
    """Remedies where a budget does not hold a conversion."""
    return (
        f"{_suggestion(enough_bytes(weight_bytes, held_bytes, precision))} would do. Or convert it without a budget "
        "(`overtone models convert`) and give the folder that makes, or take a smaller model."
    )


def _beside(held_bytes: int) -> str:
    return f" beside {format_size(held_bytes)} that are held" if held_bytes else ""


def _suggestion(size: int) -> str:
    return memory_param(sufficient_mib(size))
