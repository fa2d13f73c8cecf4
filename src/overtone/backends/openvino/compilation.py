"""Graphs compiled for this processor, or loaded as they were compiled before."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from overtone.backends.openvino.blob_cache import Blob, BlobCache, GraphNames
from overtone.backends.openvino.model_file import NO_CHECKSUMS, ModelFile
from overtone.backends.openvino.module import openvino, openvino_core, version
from overtone.backends.openvino.page_reclaimer import PageReclaimer
from overtone.backends.openvino.product_rewriter import convolutions_to_products
from overtone.errors import ModelError
from overtone.models.file_digests import sha256
from overtone.options import loading
from overtone.system.machine import processor_name
from overtone.system.memory import memory_refusal
from overtone.wording import param

_FORMAT = 1
"""Of keys of kept blobs. Raised when compiling changes otherwise than files and settings say."""

_SPARE_KERNELS = 32
"""Kernels of each kind that are kept beside one for each layer, least recently used first out. A layer whose kernel was
dropped packs its weights anew, which doubles the time of a run; those of shapes that were met are made in no time, and
kept without bound they make memory creep."""

_WITH_WEIGHTS = frozenset({"MatMul", "Convolution", "GroupConvolution"})


@dataclass(frozen=True, slots=True)
class Compilation:
    """A compiled graph. model: an `openvino.CompiledModel`. weights: what it reads them from, None for those in memory.

    It is valid as long as `weights` is held.
    """

    model: Any
    names: GraphNames
    weights: ModelFile | Blob | None


def compile_file(
    path: Path,
    settings: Mapping[str, Any],
    *,
    shape: Sequence[int] | None = None,
    checksums: Mapping[str, str] = NO_CHECKSUMS,
) -> Compilation:
    """A graph's file (IR or ONNX) compiled, or loaded from the cache folder, where it is then kept.

    shape: the only one of the first input, where there is one. checksums: see `ModelFile`.
    Raises what `ModelFile` and `compile_model` raise.
    """
    blobs = BlobCache(loading.cache_folder() / "compiled")
    key = _key(path, settings, shape, checksums) if blobs.usable and _imports_from_memory() else None
    if key is None:
        file = ModelFile(path, checksums)
        return compile_model(file.model, settings, shape=shape, name=str(path), weights=file)
    if (blob := blobs.find(key)) is not None:
        if (loaded := _loaded(blob, settings)) is not None:
            return loaded
        blobs.discard(key)
    file = ModelFile(path, checksums)
    with blobs.writing(_weight_bytes(path)) as part:
        cached = settings if part is None else {**settings, "CACHE_DIR": str(part)}
        compiled = compile_model(file.model, cached, shape=shape, name=str(path), weights=file)
        if part is not None:
            blobs.keep(key, part, compiled.names)
    return compiled


def compile_model(
    model: Any,
    settings: Mapping[str, Any],
    *,
    shape: Sequence[int] | None = None,
    name: str = "a model",
    weights: ModelFile | None = None,
) -> Compilation:
    """An `openvino.Model` compiled; ModelError, with its `name`, where an output does not answer to its own after."""
    if shape is not None:
        model.reshape({model.inputs[0].get_any_name(): list(shape)})
    if settings.get("INFERENCE_PRECISION_HINT") == "f32":
        convolutions_to_products(model)
    layers = sum(operation.get_type_name() in _WITH_WEIGHTS for operation in model.get_ops())
    with PageReclaimer(weights.drop_pages) if weights is not None else nullcontext():
        compiled = openvino_core().compile_model(model, "CPU", _with_capacity(settings, layers))
    # Compiling adds the names of what is fused into an output, in no order: any of them may come first.
    outputs = {name: place for place, output in enumerate(compiled.outputs) for name in output.names}
    for place, output in enumerate(model.outputs):
        for wanted in output.names:
            found = outputs.get(wanted)
            # One tensor may be given twice: then its name is right wherever it is found.
            if found is None or (found != place and wanted not in model.outputs[found].names):
                raise ModelError(
                    f"{name}: OpenVINO {version()} loses its output {wanted!r}; use another release of "
                    f"openvino, or {param('backend', 'torch')}."
                )
    names = GraphNames(tuple(place.get_any_name() for place in model.inputs), outputs, layers)
    return Compilation(compiled, names, weights)


@functools.cache
def _imports_from_memory() -> bool:
    """True if this release of OpenVINO imports a compiled model from memory that is there, without a copy. 2025.0 takes
    bytes alone."""
    nothing = openvino().Tensor(np.zeros(1, np.uint8), shared_memory=True)
    try:
        openvino_core().import_model(nothing, "CPU", {})
    except TypeError:
        return False
    except RuntimeError:  # it looked into the tensor, and found no model
        pass
    return True


def _loaded(blob: Blob, settings: Mapping[str, Any]) -> Compilation | None:
    """A blob's graph; None where this OpenVINO does not take it."""
    try:
        with PageReclaimer(blob.drop_pages):
            model = openvino_core().import_model(blob.tensor, "CPU", _with_capacity(settings, blob.names.layers))
    except RuntimeError as error:
        if memory_refusal(error) is not None:
            raise
        return None
    return Compilation(model, blob.names, blob)


def _with_capacity(settings: Mapping[str, Any], layers: int) -> dict[str, Any]:
    return {**settings, "CPU_RUNTIME_CACHE_CAPACITY": str(_SPARE_KERNELS + layers)}


def _key(
    path: Path, settings: Mapping[str, Any], shape: Sequence[int] | None, checksums: Mapping[str, str]
) -> str | None:
    """Digits that change with everything that a compiled graph depends on; None for files that cannot be read."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    try:
        contents = [(sha256(file), checksums.get(file.name)) for file in files]
    except OSError:  # said where it is read
        return None
    depends = (_FORMAT, contents, version(), processor_name(), sorted(settings.items()), shape and list(shape))
    return hashlib.sha256(repr((*depends, _SPARE_KERNELS)).encode()).hexdigest()[:32]


def _weight_bytes(path: Path) -> int:
    return (path.with_suffix(".bin") if path.suffix == ".xml" else path).stat().st_size
