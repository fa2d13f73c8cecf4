"""Checkpoints found: a folder in FunASR's published layout, a hub id, or a short alias.

A layout is `config.yaml`, the weights (`model.pt` or `model.safetensors`), `tokens.txt` with a label per line (absent
for a model without classes), and optionally `configuration.json`, which may name the files otherwise. Nothing in them
is ever executed, and no name in them can lead out of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.hub import BUNDLED, Hub, fetch, hub_id
from overtone.models.tensor_file import TensorFile, TensorFileError
from overtone.models.yaml_config import read_yaml
from overtone.system.assets import asset
from overtone.system.documents import DocumentError, read_json, read_text, shown

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

_LARGEST_TEXT = 1 << 20
"""Bytes. Published configs have 4 KB, label lists less; a vocabulary of 8,404 words within a config would have 110."""

_LARGEST_VOCABULARY = 16 << 20
"""Bytes. That of the larger punctuation model, half a million words, has some eight million."""

_MOST_LABELS, _LONGEST_LABEL = 4096, 256
"""Labels of a classifier, and characters of one. Published ones have 9, of up to 14 characters."""

_LONGEST_NAME = 255
"""Bytes of a file's name, as file systems allow them."""


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
        where = f"{self.name}: {self.token_list.name}"
        if not labels or len(set(labels)) != len(labels):
            raise CheckpointError(f"{where} must hold one label per line, each once.")
        if len(labels) > _MOST_LABELS:
            raise CheckpointError(f"{where} holds {len(labels):,} labels; {_MOST_LABELS:,} are possible.")
        if long := next((label for label in labels if len(label) > _LONGEST_LABEL), None):
            raise CheckpointError(
                f"{where} holds the label {shown(long)}; a label has {_LONGEST_LABEL} characters at most."
            )
        return labels

    def text(self, name: str) -> str:
        """The text of such a file, in UTF-8, 16 MiB at most. CheckpointError where it is not that."""
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


def find(model: str, *, hub: Hub = "hf", download: bool = True, revision: str | None = None) -> Checkpoint:
    """Find a model by folder, hub id or alias; fetch it if it is not here yet.

    revision: branch, tag or commit of a model that is fetched; None for the newest.

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
    texts = fetch(repo, _TEXTS, hub=hub, download=download, revision=revision)
    named = _read_metas(texts, repo).get("init_param")
    weights = (named,) if named else _WEIGHTS
    return read(fetch(repo, (*_TEXTS, *weights), hub=hub, download=download, revision=revision), name=model)


def name_of(model: str) -> str:
    """Name of a model in results: the last part of a folder's path; an alias or a hub id as it is.

    Records say nothing of the disk of the machine that made them, and two copies of a model have the same name.
    """
    folder = Path(model).expanduser()
    if model == BUNDLED or not folder.is_dir():
        return model
    return os.path.basename(os.path.abspath(folder)) or "model"


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
    except DocumentError as error:
        raise CheckpointError(f"{name}: config.yaml is not readable YAML ({error}).") from error
    if not isinstance(config, Mapping):
        raise CheckpointError(f"{name}: config.yaml is {shown(config)}, not a mapping.")
    if not isinstance(kind := config.get("model"), str | None):
        raise CheckpointError(f"{name}: model in config.yaml is {shown(kind)}, not the name of a network.")
    return config


def _read_metas(folder: Path, name: str) -> Mapping[str, str]:
    """File names that configuration.json gives for the weights and the labels, if any."""
    path = folder / "configuration.json"
    if not path.is_file():
        return {}
    try:
        metas = _within(read_json(path, _LARGEST_TEXT), "the file", "file_path_metas")
        tokenizer = _within(metas, "file_path_metas", "tokenizer_conf")
        named = {"init_param": metas.get("init_param"), "token_list": tokenizer.get("token_list")}
        for key, value in named.items():
            if not isinstance(value, str | None):
                raise DocumentError(f"{key} is {shown(value)}, not the name of a file")
    except (OSError, DocumentError) as error:
        raise CheckpointError(
            f"{name}: configuration.json is broken ({error}); fetch it again, or delete it."
        ) from error
    return {key: value for key, value in named.items() if value}


def _within(value: Any, where: str, key: str) -> Mapping[str, Any]:
    """The mapping at a key of a mapping; an empty one where there is none."""
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where} is {shown(value)}, not a mapping")
    if (found := value.get(key)) is None:
        return {}
    if not isinstance(found, Mapping):
        raise DocumentError(f"{key} is {shown(found)}, not a mapping")
    return found


def is_file_name(text: str) -> bool:
    """True if a file may have this name: one that every file system takes, and that leads nowhere else."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _LONGEST_NAME and not {"/", "\0"} & set(text) and text not in (".", "..")


def _inside(folder: Path, named: str | None, default: str, name: str) -> Path:
    path = folder / (named or default)
    if named is not None and (Path(named).is_absolute() or ".." in Path(named).parts):
        raise CheckpointError(f"{name}: it names {shown(named)}, which is outside the checkpoint's folder.")
    if named is not None and not (len(named) < 1024 and all(map(is_file_name, Path(named).parts))):
        raise CheckpointError(f"{name}: it names {shown(named)}, which no file can be called.")
    return path


def _text(path: Path, name: str, max_bytes: int = _LARGEST_TEXT) -> str:
    try:
        return read_text(path, max_bytes)
    except (OSError, DocumentError) as error:
        raise CheckpointError(f"{name}: {path.name} cannot be read ({error}).") from error
