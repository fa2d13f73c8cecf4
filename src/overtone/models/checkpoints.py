"""Checkpoints found: a folder in FunASR's published layout, a hub id, or a short alias.

A layout is `config.yaml`, the weights (`model.pt` or `model.safetensors`), `tokens.txt` with a label per line (absent
for a model without classes), and optionally `configuration.json`, which may name the files otherwise. Nothing in them
is ever executed, and no name in them can lead out of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.hub import BUNDLED, Hub, fetch, hub_id
from overtone.models.tensor_file import TensorFile, TensorFileError
from overtone.models.yaml_config import read_yaml
from overtone.system.assets import asset
from overtone.system.files import read_text_capped

_TEXTS = (
    "config.yaml",
    "configuration.json",
    "tokens.txt",
    "tokens.json",
    "am.mvn",
    "seg_dict",
    "jieba_usr_dict",
    "*.model",
)
"""Files of a published folder beside its weights, as far as they are read."""

_WEIGHTS = ("model.pt", "model.safetensors")
CONVERTED = "overtone.json"
"""The file that says that a folder holds a model converted for the CPU; see `overtone.models.converted`."""

_LARGEST_TEXT = 4 << 20
"""Bytes. No config or label list comes near; a bigger one is not read."""

_MAX_VALUES = 1 << 20
"""Values in a config, some of which list a vocabulary."""

_LARGEST_VOCABULARY = 64 << 20
"""Bytes. That of the larger punctuation model, half a million words, has some eight million."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint found on disk, its texts read, its weights not yet."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    token_list: Path | None
    """The file that names its tokens or labels, which may not be there; None where no file has been looked for."""
    weights: Path
    """The published weights, or `overtone.json` of a converted model where there are none."""

    @property
    def published(self) -> bool:
        """True if the published weights are here, and not only converted ones."""
        return self.weights.name != CONVERTED

    @property
    def kind(self) -> str:
        """Kind of the network: the name of its class in `config.yaml`."""
        return str(self.config.get("model"))

    def file(self, name: str) -> Path:
        """A file of the folder by its name. CheckpointError where it is not there, or would lie elsewhere."""
        path = _inside(self.folder, name, name, self.name)
        if not path.is_file():
            raise CheckpointError(f"{self.name}: {name} is not in {self.folder}; copy the whole published folder.")
        return path

    def labels(self) -> tuple[str, ...] | None:
        """Labels of a classifier, a line of the token list each; None where config.yaml names no tokenizer.

        Raises CheckpointError.
        """
        if self.token_list is None or self.config.get("tokenizer") is None:
            return None
        if not self.token_list.is_file():
            raise CheckpointError(
                f"{self.name}: config.yaml names a tokenizer, but {self.token_list.name} is not in {self.folder}."
            )
        labels = tuple(line.strip() for line in lines(_text(self.token_list, self.name)) if line.strip())
        if not labels or len(set(labels)) != len(labels):
            raise CheckpointError(f"{self.name}: {self.token_list.name} must hold one label per line, each once.")
        return labels

    def text(self, name: str) -> str:
        """The text of such a file, in UTF-8, 64 MiB at most."""
        return _text(self.file(name), self.name, _LARGEST_VOCABULARY)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights in memory. A published file may be larger: training keeps its own state in it."""
        if not self.published:
            return sum(path.stat().st_size for path in self.folder.glob("*.bin"))
        try:
            return TensorFile(self.weights).loaded_bytes
        except (OSError, TensorFileError):
            return self.weights.stat().st_size  # what is wrong with it is told when it is loaded


def find(model: str, *, hub: Hub = "hf", download: bool = True) -> Checkpoint:
    """Find a model by folder, hub id or alias; fetch it if it is not here yet.

    Raises CheckpointError for a folder that is not a checkpoint, DownloadError if a hub is needed and fails,
    UsageError for a name that is none of these.
    """
    if model == BUNDLED:
        return read(asset(BUNDLED), name=BUNDLED)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return read(folder, name=model)
    if folder.exists():
        raise CheckpointError(f"{model}: is a file; give the folder with config.yaml and the weights in it.")
    repo = hub_id(model, hub)
    # The texts first: they name the weights.
    texts = fetch(repo, _TEXTS, hub=hub, download=download)
    named = _read_metas(texts, repo).get("init_param")
    weights = (named,) if named else _WEIGHTS
    return read(fetch(repo, (*_TEXTS, *weights), hub=hub, download=download), name=model)


def read(folder: Path, *, name: str) -> Checkpoint:
    """Read a checkpoint folder's texts and find its weights. CheckpointError names the missing or broken file."""
    config = _read_config(folder, name)
    metas = _read_metas(folder, name)
    tokens = _inside(folder, metas.get("token_list"), "tokens.txt", name)
    weights = _inside(folder, metas.get("init_param"), "model.pt", name)
    if not weights.is_file():
        weights = folder / "model.safetensors"
    if not weights.is_file() and (folder / CONVERTED).is_file():
        weights = folder / CONVERTED
    if not weights.is_file():
        raise CheckpointError(
            f"{name}: no weights in {folder} (looked for model.pt and model.safetensors); "
            "copy the whole published folder."
        )
    return Checkpoint(name, folder, config, tokens, weights)


def lines(text: str) -> list[str]:
    """The lines of a file, without their ends; the last may have one or not. Only line feeds end a line: vocabularies
    hold other characters that `str.splitlines` would take for one."""
    return text.removesuffix("\n").split("\n") if text else []


def _read_config(folder: Path, name: str) -> Mapping[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        raise CheckpointError(f"{name}: no config.yaml in {folder}; copy the whole published folder.")
    try:
        config = read_yaml(_text(path, name))
    except ValueError as error:
        raise CheckpointError(f"{name}: config.yaml is not readable YAML ({error}).") from error
    if not isinstance(config, Mapping):
        raise CheckpointError(f"{name}: config.yaml is not a mapping.")
    if _is_larger(config, _MAX_VALUES):
        raise CheckpointError(f"{name}: config.yaml holds more than {_MAX_VALUES} values, or itself; fetch it again.")
    return config


def _is_larger(value: object, max_values: int) -> bool:
    """True if there are more values in it than that.

    Each is counted wherever it stands: a few lines of YAML can name one another many times over, and readers
    would follow.
    """
    left, seen = [value], 0
    while left:
        found = left.pop()
        within = found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ()
        seen += 1
        if seen + len(left) + len(within) > max_values:
            return True
        left.extend(within)
    return False


def _read_metas(folder: Path, name: str) -> Mapping[str, str]:
    """File names that configuration.json gives for the weights and the labels, if any."""
    path = folder / "configuration.json"
    if not path.is_file():
        return {}
    try:
        metas = json.loads(_text(path, name)).get("file_path_metas", {})
        tokenizer = metas.get("tokenizer_conf", {})
        named = {"init_param": metas.get("init_param"), "token_list": tokenizer.get("token_list")}
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{name}: configuration.json is broken; fetch it again, or delete it.") from error
    return {key: value for key, value in named.items() if isinstance(value, str)}


def _inside(folder: Path, named: str | None, default: str, name: str) -> Path:
    path = folder / (named or default)
    if named is not None and (Path(named).is_absolute() or ".." in Path(named).parts):
        raise CheckpointError(f"{name}: it names {named!r}, which is outside the checkpoint's folder.")
    return path


def _text(path: Path, name: str, max_bytes: int = _LARGEST_TEXT) -> str:
    try:
        if (text := read_text_capped(path, max_bytes)) is None:
            raise CheckpointError(f"{name}: {path.name} is larger than {max_bytes >> 20} MiB; it cannot be right.")
        return text
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{name}: {path.name} cannot be read ({error}).") from error
