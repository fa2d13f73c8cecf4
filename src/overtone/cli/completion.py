"""Words that a shell completes: models, devices and the names of keys. Nothing here loads a runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from overtone.errors import OvertoneError
from overtone.models.hub import BUNDLED, BUNDLED_ABOUT, PUBLISHED

_GPU_NODES = "nvidia[0-9]*"
"""Device nodes of NVIDIA's driver on Linux, one for each GPU."""


def complete_model(incomplete: str) -> Iterator[tuple[str, str]]:
    """Short names of models, with a few words about each, and folders."""
    known = [(BUNDLED, BUNDLED_ABOUT), *((name, model.about) for name, model in PUBLISHED.items())]
    yield from _starting(known, incomplete)
    yield from ((folder, "") for folder in _folders(incomplete))


def complete_device(incomplete: str) -> Iterator[tuple[str, str]]:
    """Devices of this machine."""
    gpus = sorted(Path("/dev").glob(_GPU_NODES))
    found = [("auto", "a GPU where one is usable, else the CPU"), ("cpu", "")]
    found += [(f"cuda:{n}", "") for n in range(len(gpus))]
    found += [("cuda:all", "every GPU")] if gpus else []
    yield from _starting(found, incomplete)


def complete_key(incomplete: str) -> Iterator[tuple[str, str]]:
    """Names of the keys in the default file."""
    from overtone.server.auth import default_path, read_keys

    with suppress(OvertoneError, OSError):  # a shell has no place for a message
        yield from _starting([(stored.owner.name, "") for stored in read_keys(default_path())], incomplete)


def _starting(words: list[tuple[str, str]], incomplete: str) -> list[tuple[str, str]]:
    return [(word, about) for word, about in words if word.startswith(incomplete)]


def _folders(incomplete: str) -> Iterator[str]:
    """Folders whose path starts so, as it was typed; only where what was typed looks like a path."""
    if "/" not in incomplete and not incomplete.startswith("."):
        return
    head, _, _ = incomplete.rpartition("/")
    with suppress(OSError, RuntimeError):
        parent = Path(head or ("/" if incomplete.startswith("/") else ".")).expanduser()
        for entry in sorted(parent.iterdir()):
            shown = f"{head}/{entry.name}" if "/" in incomplete else entry.name
            if entry.is_dir() and shown.startswith(incomplete):
                yield shown + "/"
