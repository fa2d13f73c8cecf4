"""A model converted for the CPU, on disk: what it holds, and what it says of itself.

A folder in the published layout (`config.yaml` and the other texts) with an OpenVINO model for each graph (of
emotion2vec `features.xml` and `encoder.xml`) and their weights, a classifier in `head.safetensors` where there is one,
and `overtone.json`. The published weights may stand beside them or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.checkpoints import CONVERTED, is_file_name
from overtone.system.documents import DocumentError, read_json, shown
from overtone.system.files import crc32_file, replace_atomically

FORMAT = 2
"""Of the folder. Raised when its contents change; a cached model of another format is made again."""

_MADE = ("*.xml", "*.bin", "*.safetensors", "*.npy")
"""Files that conversion makes, and `overtone.json` gives the size and the checksum of."""

_PUBLISHED = ("model.safetensors",)

_PRECISIONS = ("fp32", "bf16", "int8")

_LARGEST, _MAX_VALUES = 64 << 10, 1000
"""Bytes of `overtone.json`, and values in it. The largest that is written has under 1 KB, and 40."""


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
    checksums: Mapping[str, str] = field(default_factory=dict)
    """CRC-32 of these files by name, in eight hexadecimal digits; empty for folders from before they were kept."""

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of its graphs."""
        return tuple(name.removesuffix(".xml") for name in self.files if name.endswith(".xml"))

    @property
    def weight_bytes(self) -> int:
        """Bytes of its graphs' weights."""
        return sum((self.folder / f"{graph}.bin").stat().st_size for graph in self.graphs)

    def runs(self, precision: str) -> bool:
        """True if it can be run in this precision. For bf16 the weights are kept in float32, and run in either."""
        return precision == self.precision or {precision, self.precision} == {"fp32", "bf16"}


def read(folder: Path, name: str) -> Converted | None:
    """The converted model in a folder, or None if it holds none. CheckpointError for a broken or newer one."""
    path = folder / CONVERTED
    if not path.is_file():
        return None
    try:
        said = read_json(path, _LARGEST, max_values=_MAX_VALUES)
        made = _value(said, "format", int, "a number") if isinstance(said, dict) else None
        if made not in (None, FORMAT):
            raise CheckpointError(
                f"{name}: was converted in format {made}, and this is format {FORMAT}; convert it again with "
                "`overtone models convert`."
            )
        found, sizes = _read(folder, said)
    except (OSError, DocumentError) as error:
        raise CheckpointError(f"{name}: {CONVERTED} is broken ({error}); convert the model again.") from error
    for part, size in sizes.items():
        if not (folder / part).is_file():
            raise CheckpointError(f"{name}: {part} is missing beside {CONVERTED}; convert the model again.")
        if (there := (folder / part).stat().st_size) != size:
            raise CheckpointError(f"{name}: {part} has {there} bytes instead of {size}; convert the model again.")
    return found


def _read(folder: Path, said: Any) -> tuple[Converted, Mapping[str, int]]:
    """The contents of `overtone.json`, checked, and the bytes of each file. DocumentError naming the key."""
    if not isinstance(said, dict):
        raise DocumentError(f"it is {shown(said)}, not a mapping")
    precision, source = (_value(said, key, str, "text") for key in ("precision", "source"))
    if precision not in _PRECISIONS:
        raise DocumentError(f"precision is {shown(precision)}, none of {', '.join(_PRECISIONS)}")
    made_with, sizes = (_value(said, key, dict, "a mapping") for key in ("made_with", "sizes"))
    for package in made_with:
        _value(made_with, package, str, "a version")
    for part in sizes:
        if not is_file_name(part):
            raise DocumentError(f"it names {shown(part)}, outside of its folder")
        if _value(sizes, part, int, "a number of bytes") < 0:
            raise DocumentError(f"{part} is {sizes[part]}, not a number of bytes")
    if not any(part.endswith(".xml") for part in sizes):
        raise DocumentError("it names no model")
    agreement = _value(said, "agreement", dict, "a mapping", optional=True)
    checksums = _value({"checksums": {}, **said}, "checksums", dict, "a mapping")
    for part in checksums:
        _value(checksums, part, str, "a checksum")
    measured = None if agreement is None else _agreement(agreement)
    return Converted(folder, precision, source, made_with, measured, tuple(sizes), checksums), sizes


def _agreement(said: Mapping[str, Any]) -> Agreement:
    if unknown := set(said).difference(one.name for one in fields(Agreement)):
        raise DocumentError(f"agreement has {shown(min(unknown))}, which is not known")
    shares = {
        key: _value(said, key, (int, float), "a number", optional=True)
        for key in ("labels", "score", "cosine", "tokens")
    }
    if shares["tokens"] is None and shares["cosine"] is None:
        raise DocumentError("agreement has neither cosine nor tokens")
    if shares["labels"] is not None and shares["score"] is None:
        raise DocumentError("agreement has labels without a score")
    windows = _value(said, "windows", int, "a number")
    return Agreement(_value(said, "audio", str, "text"), windows, **shares)


def _value(said: Mapping[str, Any], key: str, kind: Any, meant: str, *, optional: bool = False) -> Any:
    """The value at a key. DocumentError where it is of another kind; a truth value is no number."""
    found = said.get(key)
    if (isinstance(found, kind) and not isinstance(found, bool)) or (optional and found is None):
        return found
    raise DocumentError(f"{shown(key)[1:-1]} is {shown(found)}, not {meant}")


def verify(found: Converted, names: Iterable[str], name: str) -> None:
    """Raise CheckpointError where one of these files is not the one that was converted, as far as that is known."""
    for part in names:
        try:
            digits = crc32_file(found.folder / part)
        except OSError as error:
            raise CheckpointError(f"{name}: {part} cannot be read ({error}); convert the model again.") from error
        if (wanted := found.checksums.get(part, digits)) != digits:
            raise CheckpointError(
                f"{name}: {part} is damaged: its checksum is {digits} instead of {wanted}; convert the model again."
            )


def made_in(folder: Path) -> tuple[str, ...]:
    """Names of the files in a folder that conversion made."""
    found = {path.name for pattern in _MADE for path in folder.glob(pattern)}
    return tuple(sorted(found.difference(_PUBLISHED)))


def write(converted: Converted) -> None:
    """Write `overtone.json`, last of all: a folder without it is no converted model."""
    names = made_in(converted.folder)
    said: dict[str, Any] = {
        "format": FORMAT,
        "precision": converted.precision,
        "source": converted.source,
        "made_with": dict(converted.made_with),
        "agreement": asdict(converted.agreement) if converted.agreement else None,
        "sizes": {name: (converted.folder / name).stat().st_size for name in names},
        "checksums": {name: crc32_file(converted.folder / name) for name in names},
    }
    with replace_atomically(converted.folder / CONVERTED) as file:
        file.write((json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
