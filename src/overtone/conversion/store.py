"""Converted models in the user's cache folder: found again, or made once, also with several processes at once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from overtone.batching.weights_budget import LoadingBudget, check_conversion, conversion_advice
from overtone.conversion import converter
from overtone.errors import BudgetError, CheckpointError, Code, ModelError, OutOfMemory, UsageError
from overtone.models import converted as on_disk
from overtone.models.checkpoints import Checkpoint
from overtone.models.converted import FORMAT, Converted
from overtone.models.file_digests import sha256
from overtone.models.registry import family_of
from overtone.options import loading
from overtone.system import subprocess_call
from overtone.system.machine import rss_bytes
from overtone.wording import param

_LOG = logging.getLogger("overtone")


def converted(
    checkpoint: Checkpoint, precision: str | None, *, strict: bool = True, budget: LoadingBudget | None = None
) -> Converted:
    """The checkpoint as a model that runs in this precision: its own folder's, one kept from before, or made now.

    precision: None takes that of the checkpoint's folder, else float32. budget: of this process and the one that
    converts, together; None is no limit.

    Raises CheckpointError for a folder that was converted to another precision and holds no published weights, and
    ModelError where what conversion needs is not installed, and BudgetError where the budget does not hold it.
    """
    own = on_disk.read(checkpoint.folder, checkpoint.name)
    if own is not None and (precision is None or own.runs(precision)):
        return own
    if own is not None and own.precision != "fp32" and not checkpoint.published:
        raise CheckpointError(
            f"{checkpoint.name}: was converted to {own.precision}; pass {param('precision', own.precision)}, or give "
            "the published checkpoint."
        )
    kept = "int8" if precision == "int8" else "fp32"
    folder = loading.cache_folder() / "converted" / f"{_fingerprint(checkpoint, own, strict)}-{FORMAT}-{kept}"
    if (found := _kept(folder, checkpoint)) is not None:
        return found
    converter.check_installed(checkpoint, kept)
    reference = None if kept == "fp32" else converted(checkpoint, "fp32", strict=strict, budget=budget)
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Whoever comes second waits, and finds what the first has made.
        with FileLock(f"{folder}.lock"):
            if (found := _kept(folder, checkpoint)) is None:
                # Under the lock these are nobody's: one that is broken, and what a killed process had begun.
                for left in (folder, *folder.parent.glob(_part(folder) + "*")):
                    shutil.rmtree(left, ignore_errors=True)
                weights = checkpoint.weight_bytes
                if budget is not None:
                    held = rss_bytes() + budget.beside_bytes
                    check_conversion(checkpoint.name, weights, kept, held_bytes=held, budget_bytes=budget.limit_bytes)
                _LOG.warning("%s: converting it to %s, once; kept in %s", checkpoint.name, kept, folder)
                with _whole(folder) as part:
                    if reference is None:
                        export = partial(converter.export, strict=strict)
                        work = partial(_in_child, export, checkpoint, part, sha256(checkpoint.weights))
                    else:
                        work = partial(_in_child, converter.to_precision, checkpoint, reference, part, kept)
                    with _budget_errors(checkpoint.name, weights, kept):
                        work(budget=budget)
                found = on_disk.read(folder, checkpoint.name)
    except OSError as error:
        raise ModelError(
            f"{checkpoint.name}: it could not be converted in {folder.parent} ({error}); name a folder that can be "
            "written, with room for the weights, as OVERTONE_CACHE."
        ) from error
    assert found is not None
    return found


def discard_damaged(found: Converted, checkpoint: Checkpoint) -> bool:
    """Delete a converted model that is kept in the cache folder where a file of it is not as it was made.

    True where another try may do: it was deleted, or another process has meanwhile made it again. False for a model
    that is kept elsewhere.
    """
    from filelock import FileLock

    folder = found.folder
    if folder == checkpoint.folder or folder.parent != loading.cache_folder() / "converted":
        return False
    with suppress(OSError):  # of a cache folder that cannot be written
        with FileLock(f"{folder}.lock"):
            try:
                on_disk.verify(found, found.files, checkpoint.name)
            except CheckpointError:
                _LOG.warning("%s: what was kept of it in %s is damaged, and is made again", checkpoint.name, folder)
                shutil.rmtree(folder)
        return True
    return False


def convert(
    checkpoint: Checkpoint, folder: Path, precision: str, audio: Sequence[str] = (), *, strict: bool = True
) -> Converted:
    """Convert a checkpoint into a new folder, which must not exist. precision: `fp32`, `bf16` or `int8`.

    audio: see `converter.to_precision`. Raises UsageError for a folder that exists or cannot be made, and what
    `converted` raises.
    """
    if folder.exists():
        raise UsageError(f"{folder}: exists already; give the folder to make, or delete it.")
    if precision != "fp32":
        converter.check_installed(checkpoint, precision)
    reference = converted(checkpoint, "fp32", strict=strict)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _whole(folder) as part:
            if precision == "fp32":
                converter.copy(checkpoint, reference, part)
                _in_child(converter.try_out, checkpoint, part)  # in other precisions its agreement is measured
            else:
                _in_child(converter.to_precision, checkpoint, reference, part, precision, audio)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error}).") from error
    made = on_disk.read(folder, checkpoint.name)
    assert made is not None
    return made


def _in_child(
    work: Callable[..., None], checkpoint: Checkpoint, *arguments: Any, budget: LoadingBudget | None = None
) -> None:
    allowed = None if budget is None else lambda: budget.limit_bytes - budget.beside_bytes - rss_bytes()
    try:
        subprocess_call.run(work, checkpoint, *arguments, allowed_bytes=allowed)
    except ModelError as error:
        if error.code != Code.PROCESS_DIED:
            raise
        raise ModelError(
            f"{checkpoint.name}: could not be converted ({error}); free memory, or convert it on a larger machine "
            "(`overtone models convert`) and copy the folder here."
        ) from None


@contextmanager
def _budget_errors(name: str, weight_bytes: int, precision: str) -> Iterator[None]:
    """BudgetError where a conversion was ended because it took more than was expected."""
    try:
        yield
    except OutOfMemory as error:
        raise BudgetError(
            f"{name}: its conversion to {precision} was ended, to stay within the budget: {error}; "
            f"{conversion_advice(2 * weight_bytes, rss_bytes(), precision)}"
        ) from None


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is then moved to its place, so that half of it is never seen. OSError if something
    has come to be there meanwhile."""
    temporary = Path(tempfile.mkdtemp(prefix=_part(folder), dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _part(folder: Path) -> str:
    return f".part-{folder.name}-"


def _kept(folder: Path, checkpoint: Checkpoint) -> Converted | None:
    """A broken one counts as none: it can be made again."""
    with suppress(CheckpointError):
        return on_disk.read(folder, checkpoint.name)
    return None


def fingerprint(checkpoint: Checkpoint, *, strict: bool = True) -> str:
    """Hexadecimal digits that tell models apart by what they answer: weights, shape, labels, a conversion's files."""
    own = on_disk.read(checkpoint.folder, checkpoint.name)
    files = () if own is None else tuple(sha256(own.folder / name) for name in own.files)
    return hashlib.sha256(repr((_fingerprint(checkpoint, own, strict), files)).encode()).hexdigest()


def _fingerprint(checkpoint: Checkpoint, own: Converted | None, strict: bool) -> str:
    """Digest of a checkpoint's contents: its weights, its shape and its labels; and how it was read."""
    weights = own.source if own is not None and not checkpoint.published else sha256(checkpoint.weights)
    try:
        said = json.dumps(checkpoint.config, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{checkpoint.name}: config.yaml is no plain mapping of names to values.") from error
    family = family_of(checkpoint)
    whole: tuple[object, ...] = (weights, said, family.labels(checkpoint), strict)
    if family.graphs_version:
        whole = (*whole, family.graphs_version)
    return hashlib.sha256(repr(whole).encode()).hexdigest()[:24]
