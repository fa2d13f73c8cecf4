"""A model's graphs through OpenVINO, on the CPU."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from overtone.backends import cost_probe
from overtone.backends.openvino.host_memory import OpenvinoMemoryMixin
from overtone.backends.openvino.runtime import CompiledModel, check_precision, serialized_first_inference, version
from overtone.models.task import Array
from overtone.system.machine import processor_name, trim_heap
from overtone.types import Batch


class OpenvinoGraphs(OpenvinoMemoryMixin):
    """See `Graphs`.

    folder: of a converted model, with `<name>.xml` for each of `names`. precision: what it was converted to, or `bf16`
    for a model in float32. threads: OpenVINO's own. shapes: of a graph's first input, where it is always the same,
    which is faster. Raises DeviceError for bf16 on a processor that would only emulate it.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        precision: str,
        threads: int,
        shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> None:
        check_precision(precision)
        self.precision, self.version, self.hardware = precision, version(), processor_name()
        self._ran: set[str] = set()
        self._models = {
            name: CompiledModel(folder / f"{name}.xml", threads=threads, precision=precision, shape=shapes.get(name))
            for name in names
        }

    def run(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """See Graphs."""
        model = self._models[graph]
        if graph in self._ran:
            return model.run(inputs)
        found: dict[str, Array] = {}
        serialized_first_inference(lambda: found.update(model.run(inputs)))
        model.release_file_pages()  # its weights are packed now
        self._ran.add(graph)
        return found

    def probe(self, run: Callable[[Batch], object], batch: Batch) -> int:
        """See Graphs."""
        self.trim()
        return cost_probe.process_peak(run, batch)

    def trim(self) -> None:
        """See Graphs."""
        for model in self._models.values():
            model.trim()

    def close(self) -> None:
        """See Graphs."""
        self._models.clear()
        gc.collect()
        trim_heap()
