"""Making a converted model: exported from the published checkpoint, or derived from one in float32.

`export` and `derive` belong into a process of their own (`overtone.child`): PyTorch would stay in this one, and take
from its budget.
"""

from __future__ import annotations

import gc
import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from overtone import converted as on_disk
from overtone.checkpoints import Checkpoint
from overtone.compiled import has_fast_bf16, openvino
from overtone.conversion import agreement, speech
from overtone.converted import FILES, MODELS, Converted
from overtone.errors import ModelError
from overtone.resources import trim_heap

_TEXTS = ("config.yaml", "tokens.txt")


def export(checkpoint: Checkpoint, folder: Path, source: str, *, strict: bool) -> None:
    """Export the published weights, in float32, into an empty folder. source: their sha256.

    Raises CheckpointError.
    """
    from overtone.models.export import export as exported
    from overtone.models.loading import load

    network, head = load(checkpoint, strict=strict)
    for name, model in zip(MODELS, exported(network), strict=True):
        openvino().save_model(model, folder / name, compress_to_fp16=False)
    if head is not None:
        on_disk.write_head(folder, head)
    # `configuration.json` stays behind: it may give the labels another name.
    _copy(checkpoint.folder, folder, ("config.yaml",))
    if checkpoint.labels is not None:
        (folder / "tokens.txt").write_text("\n".join(checkpoint.labels) + "\n", encoding="utf-8")
    del network
    gc.collect()  # traced modules refer to themselves, and hold the weights
    trim_heap()
    made_with = {name: version(name) for name in ("overtone", "openvino", "torch")}
    on_disk.write(Converted(folder, "fp32", source, made_with, None))


def check_installed(checkpoint: Checkpoint, precision: str) -> None:
    """ModelError, with what to do, where what making it takes is not installed."""
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


def copy(reference: Converted, folder: Path) -> None:
    """The same converted model in another, empty folder."""
    _copy(reference.folder, folder, (*_TEXTS, *FILES))
    on_disk.write(replace(reference, folder=folder))


def derive(
    checkpoint: Checkpoint, reference: Converted, folder: Path, precision: str, audio: Sequence[str] = ()
) -> None:
    """A model in another precision from one in float32, and its agreement with that, into an empty folder.

    The agreement of bf16 is not measured where the processor has none.

    audio: what int8 is calibrated on and what the agreement is measured on, half of it each; the speech that comes with
    the package where none is named. Raises InputError for bad audio.
    """
    made_with = dict(reference.made_with)
    if precision == "int8":
        from overtone.conversion.quantize import quantize

        _copy(reference.folder, folder, (*_TEXTS, on_disk.HEAD))
        quantize(checkpoint, reference, folder, speech.windows(audio, "calibration"))
        made_with["nncf"] = version("nncf")
    else:
        _copy(reference.folder, folder, (*_TEXTS, *FILES))
    made = Converted(folder, precision, reference.source, made_with, None)
    if precision == "bf16" and not has_fast_bf16():
        on_disk.write(made)  # for another machine: it cannot be run here
        return
    measured = agreement.measure(checkpoint, (reference, made), speech.windows(audio, "held-out"), speech.told(audio))
    on_disk.write(replace(made, agreement=measured))


def _copy(source: Path, folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
