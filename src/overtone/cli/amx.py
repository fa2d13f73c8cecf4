"""Advice for processors with AMX, for `overtone doctor` and `overtone tune`."""

from __future__ import annotations

from overtone.system.machine import has_amx

ADVICE = (
    "this processor has AMX, which multiplies bf16 in tiles: by its data sheet --precision bf16 is the one to take, "
    "and int8 is hardly faster; that is not measured yet"
)
"""A core does 1,024 operations of bf16 in a cycle with AMX, and 2,048 of int8 (Intel's figures for Sapphire Rapids), so
that the work between the products decides, which is the same in both precisions."""


def amx_advice() -> str | None:
    """Advice on the precision to take, None for a processor without AMX."""
    return ADVICE if has_amx() else None
