"""The command line. `main` is the console script; every command is a module here."""

from overtone.cli.app import main

__all__ = ["main"]
