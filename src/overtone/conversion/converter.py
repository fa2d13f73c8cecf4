"""Making a converted model: exported from the published checkpoint, or derived from one in float32.

`export` and `to_precision` belong into a separate process (`system/subprocess_call.py`): PyTorch would stay in
this one, and take from its budget.
"""

from __future__ import annotations

import gc
import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from overtone.backends.openvino.compiled_model import CompiledModel, has_fast_bf16, save_model
from overtone.conversion import agreement, calibration_audio
from overtone.errors import ModelError
from overtone.models import converted as on_disk
from overtone.models.checkpoints import Checkpoint
from overtone.models.converted import Converted
from overtone.models.family import ROLE_NAMES
from overtone.models.registry import family_of
from overtone.system.machine import trim_heap
from overtone.wording import param

_TEXTS = ("config.yaml", "tokens.txt", "am.mvn", "tokens.json", "seg_dict", "jieba_usr_dict", "*.model")
"""Files that a model reads beside its weights. `configuration.json` stays behind: it may give files another name."""


def export(checkpoint: Checkpoint, folder: Path, source: str, *, strict: bool) -> None:
    """Export the published weights, in float32, into an empty folder. source: their sha256.

    Raises CheckpointError.
    """
    from overtone.conversion.export import exported
    from overtone.models.layers.inner_width import widen_inner

    family = family_of(checkpoint)
    for name, graph in family.build(checkpoint, strict=strict).items():
        widen_inner(graph)
        save_model(exported(graph), folder / f"{name}.xml")
    _copy(checkpoint.folder, folder, _TEXTS)
    family.write_converted(checkpoint, folder)
    gc.collect()  # traced modules refer to themselves, and hold the weights
    trim_heap()
    made_with = {name: version(name) for name in ("overtone", "openvino", "torch")}
    on_disk.write(Converted(folder, "fp32", source, made_with, None))


def try_out(_: Checkpoint, folder: Path) -> None:
    """Compile each graph of a converted model, as running it will. ModelError where one cannot be run."""
    for path in sorted(folder.glob("*.xml")):
        CompiledModel(path, threads=1)


def check_installed(checkpoint: Checkpoint, precision: str) -> None:
    """ModelError, with what to do, where what making it takes is not installed."""
    family = family_of(checkpoint)
    if precision not in family.precisions:
        raise ModelError(
            f"{checkpoint.name}: a model for {ROLE_NAMES[family.role]} runs in float32, which costs little; "
            f"leave out {param('precision', precision)}."
        )
    if precision == "int8" and importlib.util.find_spec("nncf") is None:
        raise ModelError(
            "int8 takes NNCF, which measures the ranges of activations: pip install 'overtone[int8]'. A model that was "
            "converted elsewhere (`overtone models convert --precision int8`) runs without it."
        )
    if precision == "fp32" and importlib.util.find_spec("torch") is None:
        raise ModelError(
            f"{checkpoint.name}: reading a published checkpoint the first time takes PyTorch: pip install "
            "'overtone[torch]'. Or convert it where PyTorch is (`overtone models convert`) and copy the folder here."
        )


def copy(checkpoint: Checkpoint, reference: Converted, folder: Path) -> None:
    """The same converted model in another, empty folder."""
    _copy(reference.folder, folder, (*_TEXTS, *reference.files))
    family_of(checkpoint).copy_converted(checkpoint, folder)
    on_disk.write(replace(reference, folder=folder))


def to_precision(
    checkpoint: Checkpoint, reference: Converted, folder: Path, precision: str, audio: Sequence[str] = ()
) -> None:
    """A model in another precision from one in float32, and its agreement with that, into an empty folder.

    The agreement of bf16 is not measured where the processor has none.

    audio: what int8 is calibrated on and what the agreement is measured on, half of it each; the speech that comes with
    the package where none is named. Raises InputError for bad audio.
    """
    made_with = dict(reference.made_with)
    _copy(reference.folder, folder, (*_TEXTS, *reference.files))
    if precision == "int8":
        from overtone.conversion.quantize import quantize

        quantize(checkpoint, reference, folder, calibration_audio.windows(audio, "calibration"))
        made_with["nncf"] = version("nncf")
    made = Converted(folder, precision, reference.source, made_with, None, reference.files)
    if precision == "bf16" and not has_fast_bf16():
        on_disk.write(made)  # for another machine: it cannot be run here
        return
    measured = agreement.measure(
        checkpoint, (reference, made), calibration_audio.windows(audio, "held-out"), calibration_audio.describe(audio)
    )
    on_disk.write(replace(made, agreement=measured))


def _copy(source: Path, folder: Path, names: Sequence[str]) -> None:
    for pattern in names:
        for path in source.glob(pattern):
            shutil.copyfile(path, folder / path.name)
