"""`overtone models convert`: a checkpoint as a model for the CPU, with what its precision costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from overtone import checkpoints
from overtone.checkpoints import Checkpoint, Hub
from overtone.cli import screen
from overtone.cli.options import exits
from overtone.conversion import convert as converted_to
from overtone.errors import UsageError
from overtone.memory import format_size

Model = Annotated[str, typer.Argument(help="tiny, an alias, a hub id or a checkpoint folder.")]
HubOption = Annotated[Hub, typer.Option("--hub", help="hf (Hugging Face) or ms (ModelScope).")]
CpuPrecision = Literal["fp32", "bf16", "int8"]


@exits
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
) -> int:
    """Convert a model for the CPU into a folder that runs anywhere, without PyTorch, and print that folder.

    bf16 and int8 are measured against float32 on audio that was not calibrated on; what was found is printed and kept.
    """
    found = checkpoints.find(model, hub=hub)
    folder = output or Path(f"{Path(model).name or model}-{precision}")
    if onnx and precision != "fp32":
        raise UsageError("--onnx writes float32 models; leave it out, or take --precision fp32.")
    made = converted_to(found, folder, precision, calibrate or ())
    if onnx:
        _write_onnx(found, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    lines = {
        "precision": made.precision,
        "size": format_size(size),
        "agreement": "it is the reference" if made.agreement is None else str(made.agreement),
    }
    for name, text in lines.items():
        screen.note(f"{name:<10} {text}")
    typer.echo(folder)
    return 0


def _write_onnx(checkpoint: Checkpoint, folder: Path) -> None:
    from overtone.conversion.making import check_installed

    check_installed(checkpoint, "fp32")
    from overtone.models.export import export_onnx
    from overtone.models.loading import load

    export_onnx(load(checkpoint)[0], folder)
