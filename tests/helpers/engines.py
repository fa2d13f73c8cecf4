"""Engines over a backend without a model, and what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from overtone.backends.fake import FakeBackend
from overtone.batching.cost_model import CostModel
from overtone.batching.memory_plan import Plan, make_plan
from overtone.batching.queue import SegmentQueue
from overtone.engine.engine import Engine
from overtone.engine.worker import Worker
from overtone.system.memory import MIB

PER_SECOND = CostModel(0.0, 1.0 * MIB, 0.0, margin=1.0)


def engine_of(backend: FakeBackend, plan: Plan, **settings: Any) -> Engine:
    queue = SegmentQueue()
    return Engine([Worker(backend, plan, queue, **settings)], queue)


def engine(backend: FakeBackend, *, budget: int = 1 << 40, **caps: Any) -> Engine:
    plan = make_plan(
        budget_bytes=budget, resident_bytes=backend.memory.resident, cost=backend.cost(30.0), longest_s=30.0, **caps
    )
    return engine_of(backend, plan)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * 16_000)).astype(np.float32)
