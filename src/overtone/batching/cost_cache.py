"""Measured costs of models, kept on disk: probing a large network takes longer than a short job."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from overtone.batching.cost_model import CostModel
from overtone.system.documents import read_json
from overtone.system.files import replace_atomically

_LARGEST = 64 << 10
"""Bytes of a kept cost. Seven numbers are written."""


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """Measured cost of a model.

    cost: of its batches. resident_bytes: by which memory in use had grown once it was loaded and had run.
    """

    cost: CostModel
    resident_bytes: int


def load(folder: Path, key: tuple[object, ...]) -> MeasuredCost | None:
    """The cost that is kept for `key`; None where nothing is, or a damaged file.

    `key` is everything that a cost depends on (network, device, precision, threads, versions).
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = read_json(_path(folder, key), _LARGEST)
        return MeasuredCost(CostModel.from_dict(said), max(0, int(said["resident_bytes"])))
    return None


def keep(folder: Path, key: tuple[object, ...], measured: MeasuredCost) -> None:
    """Keep a cost for `key`. A folder that cannot be written only costs the time to measure again."""
    path = _path(folder, key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path, mode=0o600) as file:
            said = {**measured.cost.as_dict(), "resident_bytes": measured.resident_bytes}
            file.write(json.dumps(said).encode())


def _path(folder: Path, key: tuple[object, ...]) -> Path:
    return folder / "costs" / (hashlib.sha256(repr(key).encode()).hexdigest()[:24] + ".json")
