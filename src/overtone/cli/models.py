"""`overtone models`: known models, those on this machine, and fetching them."""

from __future__ import annotations

import typer
from rich.markup import escape

from overtone.cli import console
from overtone.cli.convert import HubOption, Model, convert
from overtone.cli.options import typer_command
from overtone.errors import DownloadError, ModelError
from overtone.models import checkpoints
from overtone.models import converted as on_disk
from overtone.models.converted import Converted
from overtone.models.hub import ALIASES, BUNDLED, BUNDLED_ABOUT, PUBLISHED, Hub
from overtone.models.registry import family_of
from overtone.system.memory import format_size

models = typer.Typer(help="List, describe, fetch and convert models.", no_args_is_help=True)
models.command("convert")(convert)


@models.command("list")
@typer_command
def list_models(hub: HubOption = "hf") -> int:
    """List the models known by a short name, and which of them are on this machine."""
    table = console.plain_table("name", "hub id", "here", "")
    table.add_row(BUNDLED, "", _here(BUNDLED, hub), BUNDLED_ABOUT)
    for name, published in PUBLISHED.items():
        table.add_row(name, ALIASES[name][hub], _here(name, hub), published.about)
    console.print_whole(table)
    return 0


@models.command()
@typer_command
def info(model: Model, hub: HubOption = "hf") -> int:
    """Describe a model that is on this machine: shape, size, classes."""
    found = checkpoints.find(model, hub=hub, download=False)
    weights = found.weights.name if found.published else "converted"
    lines = {
        "model": found.name,
        "folder": str(found.folder),
        "weights": f"{weights}, {format_size(found.weight_bytes)}",
        **family_of(found).describe(found),
    }
    if (made := on_disk.read(found.folder, found.name)) is not None:
        lines["converted"] = f"for the CPU, {made.precision}, with {_versions(made)}"
        if made.agreement is not None:
            lines["agreement"] = f"with float32: {made.agreement}"
    for name, text in lines.items():
        console.out.print(f"[bold]{name:<9}[/] {escape(text)}", soft_wrap=True)
    return 0


@models.command()
@typer_command
def pull(model: Model, hub: HubOption = "hf") -> int:
    """Fetch a model from its hub and print the folder it is in. Fetching goes on where it was stopped."""
    found = checkpoints.find(model, hub=hub)
    family_of(found).check(found)
    typer.echo(found.folder)
    return 0


def _versions(made: Converted) -> str:
    return ", ".join(f"{package} {version}" for package, version in made.made_with.items())


def _here(name: str, hub: Hub) -> str:
    try:
        checkpoints.find(name, hub=hub, download=False)
    except DownloadError:
        return "no"
    except ModelError:
        return "broken"
    return "yes"
