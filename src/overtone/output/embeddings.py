"""Embeddings to `.npz` files, one per input, frames streamed: ten hours of them are never in memory.

Read with `numpy.load(path)`; nothing in a file is pickled.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from overtone.errors import UsageError
from overtone.output.formats.file_names import base_name
from overtone.output.formats.output_file import make_folder, replacing
from overtone.results import EmotionResult, FrameResult
from overtone.system.spooled_array import SpooledArray
from overtone.types import SAMPLE_RATE

_KEY = "key"


class EmbeddingWriter:
    """Writer of a file per result into `folder`, which is made if it is missing.

    Arrays in each file:

    - `embedding` float32 (dim,), the mean over all frames;
    - `scores` float32 (classes,), those of the record, `pooled_scores` float32 (classes,), those of `embedding`, and
      `labels` text (classes,), all of length 0 for a model without classes;
    - `source` text (), the input;
    - `key` text (), which identifies the input and channel;
    - with granularity "frame" `frames` float32 (T, dim), `starts_s` float64 (T,), the starts of the frames in seconds,
      and `frame_scores` float32 (T, classes).

    UsageError where the folder cannot be written.
    """

    def __init__(self, folder: str, granularity: Literal["utterance", "frame"]) -> None:
        if granularity not in ("utterance", "frame"):
            raise UsageError(f"embeddings come per utterance or frame, not {granularity!r}")
        self._folder = Path(folder)
        self._granularity = granularity
        make_folder(folder)

    def write(self, result: EmotionResult) -> Path | None:
        """Write the file of one result, return its path; None where there is no embedding (failed, silent).

        The same input gets the same name in every run into the same folder, and replaces its own file.
        """
        if result.embedding is None:
            return None
        path = self.path_of(result)
        with (
            replacing(str(path)) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        ):
            for name, array in _arrays(result).items():
                _add(archive, name, array.shape, array.dtype, [array])
            if self._granularity == "frame" and result.frames is not None:
                _add_frames(archive, result.frames)
        return path

    def path_of(self, result: EmotionResult) -> Path:
        """`<stem>.npz`; with a hash of the input after the stem where another input has that file."""
        base, identity = base_name(result), _identity(result)
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        plain = self._folder / f"{base}.npz"
        hashed = self._folder / f"{base}-{digest}.npz"
        if hashed.exists() or (plain.exists() and _owner(plain) != identity):
            return hashed
        return plain


def _identity(result: EmotionResult) -> str:
    """Text that identifies an input and channel; NUL is in no file name."""
    parts = [result.source, result.id, None if result.channel is None else str(result.channel)]
    return "\0".join(part or "" for part in parts).rstrip("\0")


def _owner(path: Path) -> str | None:
    """The identity of the input that a file was written for; None if the file is not one of these."""
    try:
        # Opened here, as np.load leaves the file open when it turns out broken.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return str(arrays[_KEY])
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile):
        return None


def _arrays(result: EmotionResult) -> dict[str, npt.NDArray[Any]]:
    scores, pooled = result.scores or {}, (result.pooled and result.pooled.scores) or {}
    labels = result.frames.labels if result.frames is not None and not scores else tuple(scores)
    return {
        _KEY: np.array(_identity(result)),
        "source": np.array(result.source),
        "embedding": np.asarray(result.embedding, np.float32),
        "scores": np.array(list(scores.values()), np.float32),
        "pooled_scores": np.array(list(pooled.values()), np.float32),
        "labels": np.array(labels, np.str_),
    }


def _add_frames(archive: zipfile.ZipFile, frames: FrameResult) -> None:
    count = len(frames.starts)
    starts = (chunk / SAMPLE_RATE for chunk in frames.starts.chunks())
    _add(archive, "starts_s", (count,), np.dtype(np.float64), starts)
    _add(archive, "frames", frames.embeddings.shape, np.dtype(np.float32), frames.embeddings.chunks())
    shape, chunks = _scores(frames.scores, count)
    _add(archive, "frame_scores", shape, np.dtype(np.float32), chunks)


def _scores(spool: SpooledArray | None, count: int) -> tuple[tuple[int, ...], Iterator[npt.NDArray[Any]]]:
    return ((count, 0), iter(())) if spool is None else (spool.shape, spool.chunks())


def _add(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunks: Iterable[npt.NDArray[Any]],
) -> None:
    """One array of known shape and type as a member, written piece by piece, in NumPy's own format."""
    dtype = dtype.newbyteorder("<")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    # A ZipInfo of its own has a fixed date: the same input gives the same bytes.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for chunk in chunks:
            member.write(np.ascontiguousarray(chunk, dtype).tobytes())
