"""Mean and variance normalization of features, as Kaldi stores it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.system.documents import shown

_MOST = 1 << 16
"""Numbers of one kind: as many as a feature vector can have."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,64}\.?[0-9]{0,64}|\.[0-9]{1,64})(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)


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
        numbers = text.partition(mark)[2].partition("[")[2].partition("]")[0].split(maxsplit=_MOST)
        if len(numbers) > _MOST:
            raise CheckpointError(f"{name}: am.mvn has more than {_MOST:,} numbers after {mark}; it cannot be right.")
        for number in numbers:
            if not _NUMBER.fullmatch(number):
                raise CheckpointError(f"{name}: am.mvn holds {shown(number)} after {mark}, which is no number.")
        vector = np.array(numbers, np.float64)
        if not len(vector) or not (np.abs(vector) <= np.finfo(np.float32).max).all():
            raise CheckpointError(f"{name}: am.mvn has no finite numbers after {mark}; fetch it again.")
        vectors.append(vector.astype(np.float32))
    if len(vectors[0]) != len(vectors[1]):
        raise CheckpointError(f"{name}: am.mvn has {len(vectors[0])} shifts, but {len(vectors[1])} scales.")
    return Cmvn(*vectors)
