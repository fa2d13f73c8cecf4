"""`overtone keys`: the keys of those who may use the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overtone.cli import console
from overtone.cli.completion import complete_key
from overtone.cli.options import typer_command
from overtone.server.auth import add_key, default_path, read_keys, remove_key

keys = typer.Typer(name="keys", help="Make, list and withdraw the API keys of the service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Whose key it is: letters, digits, '.', '_' and '-'.")]
KnownName = Annotated[str, typer.Argument(help="Whose key it is.", autocompletion=complete_key)]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="The file of keys. Default: keys.json in your configuration folder.")
]


@keys.command()
@typer_command
def add(
    name: Name,
    file: FileOption = None,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds of audio that may be under way for this key at once.")
    ] = None,
) -> int:
    """Make a key and print it. It is shown this once: only a hash of it is kept."""
    path = file or default_path()
    typer.echo(add_key(path, name, seconds))
    console.print_note(
        f"The key of {name}, in force from now on. Keep it: it is not shown again, and {path} has only its hash."
    )
    return 0


@keys.command("list")
@typer_command
def list_keys(file: FileOption = None) -> int:
    """List whose keys there are, when they were made and what limits they have."""
    table = console.plain_table("name", "made", ">seconds at once", whole=("name",))
    for stored in read_keys(file or default_path()):
        limit_s = stored.owner.limit_s
        table.add_row(
            console.shown(stored.owner.name), f"{stored.made:%Y-%m-%d %H:%M}", "" if limit_s is None else f"{limit_s:g}"
        )
    console.print_whole(table)
    return 0


@keys.command()
@typer_command
def remove(name: KnownName, file: FileOption = None) -> int:
    """Withdraw a key. A service that is running knows it no more from its next request on."""
    remove_key(file or default_path(), name)
    console.print_note(f"The key of {name} is withdrawn.")
    return 0
