"""Weights against a budget before they are read: refused with a number, and that number does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.batching.memory_plan import SAFETY_MARGIN_BYTES
from overtone.batching.weights_budget import check_conversion, check_weights
from overtone.errors import BudgetError
from overtone.system.memory import GIB, MIB, parse_size

sizes = st.integers(1, 64 * GIB)


def suggested(error: BudgetError) -> int:
    found = re.search(r"memory='(\d+MiB)' would do", str(error))
    assert found is not None, str(error)
    return parse_size(found[1])


@given(weights=sizes, held=st.integers(0, 8 * GIB), budget=sizes)
def test_weights_that_cannot_fit_are_refused_with_a_number_that_holds_them(
    weights: int, held: int, budget: int
) -> None:
    try:
        check_weights("m", weights, held_bytes=held, budget_bytes=budget, available_bytes=weights)
    except BudgetError as error:
        assert held + weights > budget
        enough = suggested(error)
        assert enough > budget
        check_weights("m", weights, held_bytes=held, budget_bytes=enough, available_bytes=weights)
        check_conversion("m", weights, "fp32", held_bytes=held, budget_bytes=enough)
    else:
        assert held + weights <= budget or weights <= SAFETY_MARGIN_BYTES


@given(weights=sizes, held=st.integers(0, 8 * GIB), budget=sizes, precision=st.sampled_from(("fp32", "int8")))
def test_a_conversion_that_cannot_fit_is_refused_with_a_number_that_holds_it(
    weights: int, held: int, budget: int, precision: str
) -> None:
    try:
        check_conversion("m", weights, precision, held_bytes=held, budget_bytes=budget)
    except BudgetError as error:
        enough = suggested(error)
        assert enough > budget
        check_conversion("m", weights, precision, held_bytes=held, budget_bytes=enough)
        check_weights("m", weights, held_bytes=held, budget_bytes=enough, available_bytes=weights)
    else:
        assert held + weights < budget


def test_weights_that_the_machine_cannot_hold_are_refused_whatever_the_budget() -> None:
    with pytest.raises(BudgetError, match=r"this machine has 1\.00 GiB left"):
        check_weights("m", 2 * GIB, held_bytes=0, budget_bytes=64 * GIB, available_bytes=GIB)


def test_small_weights_are_left_to_the_measured_refusal() -> None:
    check_weights("m", 3 * MIB, held_bytes=200 * MIB, budget_bytes=100 * MIB, available_bytes=GIB)
