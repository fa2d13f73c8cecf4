"""`overtone models`: known models, those on this machine, and fetching them."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from overtone.cli import console
from overtone.cli.convert import HubOption, Model, convert
from overtone.cli.options import typer_command
from overtone.errors import DownloadError, ModelError
from overtone.models import checkpoints
from overtone.models import converted as on_disk
from overtone.models.converted import Converted
from overtone.models.hub import ALIASES, BUNDLED, BUNDLED_ABOUT, PUBLISHED, Hub, hub_id
from overtone.models.registry import family_of
from overtone.system.memory import format_size

models = typer.Typer(name="models", help="List, describe, fetch and convert models.", no_args_is_help=True)
models.command("convert")(convert)


@models.command("list")
@typer_command
def list_models(hub: HubOption = "hf") -> int:
    """List the models known by a short name, and which of them are on this machine."""
    table = console.plain_table("name", "hub id", "here", "", whole=("name", "hub id"))
    table.add_row(BUNDLED, "", _here(BUNDLED, hub), BUNDLED_ABOUT)
    for name, published in PUBLISHED.items():
        table.add_row(name, ALIASES[name][hub], _here(name, hub), published.about)
    console.print_whole(table)
    return 0


@models.command()
@typer_command
def info(model: Model, hub: HubOption = "hf") -> int:
    """Describe a model: shape, size, classes; of one that is not on this machine, how to get it, and its terms."""
    try:
        found = checkpoints.find(model, hub=hub, download=False)
    except DownloadError as error:
        _print_lines(_about_published(model, hub, error))
        return 0
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
    _print_lines(lines)
    return 0


def _print_lines(lines: Mapping[str, str]) -> None:
    for name, text in lines.items():
        console.out.print(f"[bold]{name:<9}[/] {console.shown(text)}", soft_wrap=True)


def _about_published(model: str, hub: Hub, error: DownloadError) -> dict[str, str]:
    """Lines about a published model that is not here; `error` for one of which no more is known than its id."""
    repo = hub_id(model, hub)
    published = next((one for one in PUBLISHED.values() if repo in (one.hf, one.ms)), None)
    if published is None:
        raise error
    size = "not counted"
    if published.millions is not None:
        numbers = published.millions * 1e6
        sizes = f"{format_size(4 * numbers)} in fp32, {format_size(numbers)} in int8"
        size = f"{published.millions:g} million numbers: {sizes}"
    flag = "" if hub == "hf" else f" --hub {hub}"
    return {
        "model": model,
        "hub id": repo,
        "about": published.about,
        "size": f"{size}; the download may be larger than the weights",
        "license": f"{published.license}; the card of what you fetch counts",
        "here": f"no; fetch it with: overtone models pull {model}{flag}",
    }


@models.command()
@typer_command
def pull(model: Model, hub: HubOption = "hf") -> int:
    """Fetch a model from its hub and print the folder it is in. Fetching goes on where it was stopped."""
    found = checkpoints.find(model, hub=hub)
    family_of(found).check(found)
    console.print_path(found.folder)
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
