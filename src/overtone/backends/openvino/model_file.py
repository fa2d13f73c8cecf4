"""Files of a graph for OpenVINO: copies that no other process can change.

OpenVINO maps weights, and reads them again whenever it packs them for another shape. A mapped file that is cut short
ends the process with SIGBUS, so an unnamed copy is mapped. Holding the weights in memory instead would count
them twice for good, as they are and packed: 811 MiB for emotion2vec's base shape in float32, where 473 are resident
with the copy, which takes 0.2 s for 338 MiB. Where there is no room on the disk, and for small weights, they are held
in memory after all.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from overtone.backends.openvino.module import openvino, openvino_core
from overtone.errors import CheckpointError
from overtone.options import loading
from overtone.system.machine import drop_spans, mapped_spans
from overtone.system.memory import memory_refusal

_HELD_BYTES = 16 << 20
"""Bytes of weights up to which a second copy in memory is cheaper than one on disk."""

_CHUNK_BYTES = 1 << 20

_READERS = {".xml": "ir", ".onnx": "onnx"}

_NO_COPY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
"""Errors of a disk that takes no copy."""

NO_CHECKSUMS: Mapping[str, str] = MappingProxyType({})


class ModelFile:
    """An `openvino.Model` read from a file (IR or ONNX); `model` stays valid whatever becomes of the file.

    checksums: CRC-32 of files by their name, eight hexadecimal digits, as `overtone.json` has them; a file that it does
    not name is not verified. Raises CheckpointError for files that are broken, changed or gone, and a RuntimeError or
    a MemoryError where the system refuses memory (`memory_refusal`).
    """

    def __init__(self, path: Path, checksums: Mapping[str, str] = NO_CHECKSUMS) -> None:
        self._spans: list[tuple[int, int]] = []
        try:
            self.model = self._read(path, checksums)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); convert the model again.") from error
        except RuntimeError as error:
            if memory_refusal(error) is not None:
                raise
            # What OpenVINO reads files with is libraries, and those that cannot be loaded it passes over.
            _, lists, readers = str(error).partition("Available frontends:")
            if lists and _READERS.get(path.suffix, "") not in readers.split():
                raise MemoryError("the library that reads such models cannot be loaded") from error
            reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else "no reason given"
            raise CheckpointError(
                f"{path}: cannot be loaded by OpenVINO ({reason}); convert the model again."
            ) from error

    def _read(self, path: Path, checksums: Mapping[str, str]) -> Any:
        if path.suffix != ".xml":
            return openvino_core().read_model(path)
        graph, weights = path.read_bytes(), path.with_suffix(".bin")
        _verify(path, zlib.crc32(graph), checksums)
        if weights.stat().st_size > _HELD_BYTES and sys.platform == "linux":
            try:
                return self._mapped_model(graph, weights, checksums)
            except OSError as error:
                if error.errno not in _NO_COPY:
                    raise
        return _held_model(graph, weights, checksums)

    def _mapped_model(self, graph: bytes, weights: Path, checksums: Mapping[str, str]) -> Any:
        """The model, its weights mapped from a copy without a name, which is gone with the model."""
        with _unnamed() as xml, _unnamed() as copy:
            xml.write(graph)
            _verify(weights, _copy(weights, weights.stat().st_size, copy.write), checksums)
            places = [f"/proc/self/fd/{file.fileno()}" for file in (xml, copy)]
            model = openvino_core().read_model(*places)
            self._spans = mapped_spans(os.readlink(places[1]))  # as long as `model` is held
            return model

    def drop_pages(self) -> None:
        """Give back the pages of weights that are mapped; they are read again if they are wanted."""
        drop_spans(self._spans)


def _held_model(graph: bytes, weights: Path, checksums: Mapping[str, str]) -> Any:
    """The model, its weights in memory that OpenVINO frees with it."""
    ov, size = openvino(), weights.stat().st_size
    tensor = ov.Tensor(ov.Type.u8, ov.Shape([size]))
    held, at = memoryview(tensor.data), 0

    def put(chunk: memoryview) -> None:
        nonlocal at
        held[at : at + len(chunk)] = chunk
        at += len(chunk)

    _verify(weights, _copy(weights, size, put), checksums)
    return openvino_core().read_model(graph, tensor)


def _unnamed() -> IO[bytes]:
    folder = loading.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(buffering=0, dir=folder)


def _copy(path: Path, size: int, take: Callable[[memoryview], object]) -> int:
    """Give a file's content to `take`, chunk after chunk; its CRC-32. CheckpointError if it is not of this size."""
    crc, buffer = 0, memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        left = size
        while left and (count := file.readinto(buffer[: min(left, _CHUNK_BYTES)])):
            crc = zlib.crc32(buffer[:count], crc)
            take(buffer[:count])
            left -= count
    if left:
        raise CheckpointError(f"{path}: was cut short while it was read; convert the model again.")
    return crc


def _verify(path: Path, crc: int, checksums: Mapping[str, str]) -> None:
    if (wanted := checksums.get(path.name)) is not None and wanted != f"{crc:08x}":
        raise CheckpointError(
            f"{path}: is damaged: its checksum is {crc:08x} instead of {wanted}; convert the model again, or delete "
            "the folder if Overtone keeps it."
        )
