"""Models loaded into one budget, and run before the first batch where that is to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from overtone.backends.task_backend import TaskBackend
from overtone.engine import runtime
from overtone.engine.runtime import NO_RESERVE, ReservedCapacity
from overtone.errors import BudgetError
from overtone.options.emotion import Options


@dataclass(eq=False)
class Model:
    """A model as `_plans` knows it. needed: the budget that it asks for, 0 where it fits."""

    needed: int = 0
    cold: bool = False
    checkpoint: Any = field(default_factory=lambda: SimpleNamespace(weight_bytes=100))

    def warm_up(self) -> None:
        self.cold = False


def test_the_refusal_of_several_models_names_a_budget_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: Model, *_: Any) -> None:
        if model.needed:
            error = BudgetError(f"model {model.needed}")
            error.enough_bytes = model.needed
            raise error

    monkeypatch.setattr(runtime, "_plan", refuse)
    with pytest.raises(BudgetError, match="model 3"):
        runtime._plans([Model(0), Model(1), Model(3), Model(2)], NO_RESERVE, None)  # type: ignore[list-item]
    fits: Any = Model()
    assert runtime._plans([fits], NO_RESERVE, None) == {fits: None}


@pytest.mark.parametrize(("spare", "stays_cold"), [(200, True), (199, False), (None, False)])
def test_models_run_before_the_first_batch_where_their_weights_would_not_fit_twice(
    monkeypatch: pytest.MonkeyPatch, spare: int | None, stays_cold: bool
) -> None:
    def plan(model: Model, *_: Any) -> SimpleNamespace:
        if spare is None and models[0].cold:
            raise BudgetError("no room for it")
        return SimpleNamespace(budget_bytes=1000 + (spare or 0), planned_bytes=1000)

    models: Any = [Model(cold=True), Model(cold=True), Model()]
    monkeypatch.setattr(runtime, "_plan", plan)
    assert set(runtime._plans(models, NO_RESERVE, None)) == set(models)
    assert [model.cold for model in models] == [stays_cold, stays_cold, False]


@pytest.fixture
def warmed_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each time that a model is run before the first batch."""
    found = []
    warm_up = TaskBackend.warm_up

    def noted(backend: TaskBackend) -> None:
        found.append(backend.name)
        warm_up(backend)

    monkeypatch.setattr(TaskBackend, "warm_up", noted)
    return found


def test_a_model_that_was_measured_before_first_runs_with_its_first_batch(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warmed_up: list[str]
) -> None:
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path))
    options, service = Options(model=str(small_checkpoint), threads=1, decode="threads"), ReservedCapacity(live=1)
    planned = []
    for reserve, wanted in ((NO_RESERVE, 1), (NO_RESERVE, 0), (service, 1)):
        warmed_up.clear()
        started = runtime.start(options, reserve=reserve)
        planned.append(started.engine.plan.resident_bytes)
        started.close()
        assert len(warmed_up) == wanted
    # A process that has loaded a model before holds its libraries already, so later ones seem to need no less.
    assert planned[1] >= planned[0] - (4 << 20)
