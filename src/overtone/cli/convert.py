"""`overtone models convert`: a checkpoint as a model for the CPU, with the agreement that its precision keeps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from overtone.cli import console
from overtone.cli.completion import complete_model
from overtone.cli.options import typer_command
from overtone.cli.progress import spinner
from overtone.conversion import convert as converted_to
from overtone.errors import CheckpointError, ModelError, UsageError
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.converted import Converted
from overtone.models.hub import Hub
from overtone.models.registry import family_of
from overtone.options.emotion import HELP
from overtone.system.memory import format_size

Model = Annotated[
    str, typer.Argument(help="tiny, an alias, a hub id or a checkpoint folder.", autocompletion=complete_model)
]
HubOption = Annotated[Hub, typer.Option("--hub", help="hf (Hugging Face) or ms (ModelScope).")]
_ONNX_TAKES = ("torch", "onnx", "onnxscript")

CpuPrecision = Literal["fp32", "bf16", "int8"]


@typer_command
def convert(
    model: Model,
    precision: Annotated[CpuPrecision, typer.Option(help="What it computes in.")] = "fp32",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to make. Default: MODEL-PRECISION, here.")
    ] = None,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(help="Audio to calibrate int8 on and to measure agreement on. Default: what comes with Overtone."),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX models beside it, in float32.")] = False,
    hub: HubOption = "hf",
    ignore_unknown_tensors: Annotated[
        bool, typer.Option("--ignore-unknown-tensors", help=HELP["ignore_unknown_tensors"])
    ] = False,
) -> int:
    """Convert a model for the CPU into a folder that runs anywhere, without PyTorch, and print that folder.

    bf16 and int8 are measured against float32 on audio that was not calibrated on; what was found is printed and kept.
    """
    _check(precision, calibrate or [], onnx=onnx)
    found = checkpoints.find(model, hub=hub)
    if onnx and not found.published:
        raise CheckpointError(f"{model}: --onnx takes the published checkpoint, and this folder holds a converted one.")
    if onnx and not family_of(found).exports_onnx:
        raise CheckpointError(f"{model}: --onnx writes emotion models; leave it out for {found.kind}.")
    folder = output or Path(f"{Path(model).name or model}-{precision}")
    strict = not ignore_unknown_tensors
    with spinner(f"converting {checkpoints.name_of(model)} to {precision}", shown=sys.stderr.isatty()):
        made = converted_to(found, folder, precision, calibrate or (), strict=strict)
    if onnx:
        _write_onnx(found, folder, strict=strict)
    size = sum(path.stat().st_size for path in folder.iterdir())
    lines = {
        "precision": made.precision,
        "size": format_size(size),
        "agreement": _agreement(made),
    }
    for name, text in lines.items():
        console.print_note(f"{name:<10} {text}")
    console.print_path(folder)
    return 0


def _check(precision: CpuPrecision, calibrate: list[str], *, onnx: bool) -> None:
    """Refuse impossible options before anything is fetched. UsageError, or ModelError for missing packages."""
    if onnx and precision != "fp32":
        raise UsageError("--onnx writes float32 models; leave it out, or take --precision fp32.")
    if onnx and any(importlib.util.find_spec(name) is None for name in _ONNX_TAKES):
        raise ModelError("--onnx takes PyTorch's exporter: pip install 'overtone[onnx]'.")
    if calibrate and precision == "fp32":
        raise UsageError(
            "--calibrate: in fp32 there is nothing to calibrate or to compare; leave it out, or take --precision int8."
        )
    if "-" in calibrate:
        raise UsageError("--calibrate reads its audio twice, which standard input does not allow; name files.")


def _agreement(made: Converted) -> str:
    if made.agreement is not None:
        return str(made.agreement)
    if made.precision == "bf16":
        return "not measured: this processor has no fast bf16"
    return "it is the reference"


def _write_onnx(checkpoint: Checkpoint, folder: Path, *, strict: bool) -> None:
    from overtone.conversion.export import export_onnx

    export_onnx(family_of(checkpoint).build(checkpoint, strict=strict), folder)
