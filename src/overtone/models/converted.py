"""A model converted for the CPU, on disk: what it holds, and what it says of itself.

A folder in the published layout (`config.yaml` and the other texts) with an OpenVINO model for each graph (of
emotion2vec `features.xml` and `encoder.xml`) and their weights, a classifier in `head.safetensors` where there is one,
and `overtone.json`. The published weights may stand beside them or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.checkpoints import CONVERTED
from overtone.system.files import replace_atomically

FORMAT = 2
"""Of the folder. Raised when its contents change; a cached model of another format is made again."""

_MADE = ("*.xml", "*.bin", "*.safetensors", "*.npy")
"""Files that conversion makes, and `overtone.json` gives the size of."""

_PUBLISHED = ("model.safetensors",)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a model with itself in float32, over `windows` stretches of the held-out audio `audio`.

    labels: share of windows with the same label. score: mean absolute difference of scores. Both None for a model
    without classes. cosine: mean cosine between the windows' embeddings; None for a recognizer. tokens: of a
    recognizer, one less its token error rate against float32; None for others.
    """

    audio: str
    windows: int
    labels: float | None
    score: float | None
    cosine: float | None
    tokens: float | None = None

    def __str__(self) -> str:
        where = f"{self.windows} windows of {self.audio}"
        if self.tokens is not None:
            return f"same tokens {100 * self.tokens:.1f} % over {where}"
        if self.labels is None:
            return f"embedding cosine {self.cosine:.5f} over {where}"
        return (
            f"same label {100 * self.labels:.1f} %, mean score difference {self.score:.4f}, embedding cosine "
            f"{self.cosine:.5f} over {where}"
        )


@dataclass(frozen=True, slots=True)
class Converted:
    """Contents of `overtone.json`. `source`: sha256 of the published weights; `made_with`: versions by package."""

    folder: Path
    precision: str
    source: str
    made_with: Mapping[str, str]
    agreement: Agreement | None
    files: tuple[str, ...] = ()
    """Files that conversion made; filled in when it is read or written."""

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of its graphs."""
        return tuple(name.removesuffix(".xml") for name in self.files if name.endswith(".xml"))

    def runs(self, precision: str) -> bool:
        """True if it can be run in this precision. For bf16 the weights are kept in float32, and run in either."""
        return precision == self.precision or {precision, self.precision} == {"fp32", "bf16"}


def read(folder: Path, name: str) -> Converted | None:
    """The converted model in a folder, or None if it holds none. CheckpointError for a broken or newer one."""
    path = folder / CONVERTED
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise CheckpointError(
                f"{name}: was converted in format {said['format']}, and this is format {FORMAT}; convert it again with "
                "`overtone models convert`."
            )
        agreement = Agreement(**said["agreement"]) if said["agreement"] else None
        sizes = {str(part): int(size) for part, size in said["sizes"].items()}
        precision, source, made_with = str(said["precision"]), str(said["source"]), dict(said["made_with"])
        if not any(part.endswith(".xml") for part in sizes):
            raise ValueError("it names no model")
        if bad := [part for part in sizes if Path(part).name != part]:
            raise ValueError(f"it names {bad[0]!r}, outside of its folder")
        found = Converted(folder, precision, source, made_with, agreement, tuple(sizes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: {CONVERTED} is broken ({error!r}); convert the model again.") from error
    for part, size in sizes.items():
        if not (folder / part).is_file():
            raise CheckpointError(f"{name}: {part} is missing beside {CONVERTED}; convert the model again.")
        if (there := (folder / part).stat().st_size) != size:
            raise CheckpointError(f"{name}: {part} has {there} bytes instead of {size}; convert the model again.")
    return found


def made_in(folder: Path) -> tuple[str, ...]:
    """Names of the files in a folder that conversion made."""
    found = {path.name for pattern in _MADE for path in folder.glob(pattern)}
    return tuple(sorted(found.difference(_PUBLISHED)))


def write(converted: Converted) -> None:
    """Write `overtone.json`, last of all: a folder without it is no converted model."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "precision": converted.precision,
        "source": converted.source,
        "made_with": dict(converted.made_with),
        "agreement": asdict(converted.agreement) if converted.agreement else None,
        "sizes": {name: (converted.folder / name).stat().st_size for name in made_in(converted.folder)},
    }
    with replace_atomically(converted.folder / CONVERTED) as file:
        file.write((json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
