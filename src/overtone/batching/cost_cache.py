"""Measured cost models, kept on disk: probing a large network takes longer than a short job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from overtone.batching.cost_model import CostModel
from overtone.system.files import replace_atomically


def load_or_measure(folder: Path, key: tuple[object, ...], measure: Callable[[], CostModel]) -> CostModel:
    """The cost model kept for `key`, or the one that `measure` gives, which is then kept.

    `key` is everything that a cost depends on (network, device, precision, threads, versions). A folder that cannot be
    written, or a damaged file, only costs the time to measure again.
    """
    path = folder / "costs" / (hashlib.sha256(repr(key).encode()).hexdigest()[:24] + ".json")
    with suppress(OSError, ValueError, KeyError, TypeError):
        return CostModel.from_dict(json.loads(path.read_text(encoding="utf-8")))
    cost = measure()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path, mode=0o600) as file:
            file.write(json.dumps(cost.as_dict()).encode())
    return cost
