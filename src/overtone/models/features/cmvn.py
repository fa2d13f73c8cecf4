"""Mean and variance normalization of features, as Kaldi stores it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError


@dataclass(frozen=True, slots=True, eq=False)
class Cmvn:
    """Mean and variance normalization: `(features + shift) * scale`, each float32 (dim,)."""

    shift: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]


def read_cmvn(text: str, name: str) -> Cmvn:
    """Read `am.mvn`, a network of Kaldi's as text whose `<AddShift>` and `<Rescale>` are followed by `[ numbers ]`.

    CheckpointError, with the checkpoint's name, for anything else.
    """
    vectors = []
    for mark in ("<AddShift>", "<Rescale>"):
        numbers = text.partition(mark)[2].partition("[")[2].partition("]")[0].split()
        try:
            vector = np.array(numbers, np.float64).astype(np.float32)
        except ValueError as error:
            raise CheckpointError(f"{name}: am.mvn holds something that is no number after {mark}.") from error
        if not len(vector) or not np.isfinite(vector).all():
            raise CheckpointError(f"{name}: am.mvn has no finite numbers after {mark}; fetch it again.")
        vectors.append(vector)
    if len(vectors[0]) != len(vectors[1]):
        raise CheckpointError(f"{name}: am.mvn has {len(vectors[0])} shifts, but {len(vectors[1])} scales.")
    return Cmvn(*vectors)
