"""A model's graphs through OpenVINO, on the CPU."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from overtone.backends.memory import ProcessMemory
from overtone.backends.openvino.blockwise_encoder import BlockwiseEncoder
from overtone.backends.openvino.compiled_model import (
    CompiledModel,
    check_precision,
    serialized_first_inference,
    version,
)
from overtone.batching.cost_model import Shape
from overtone.errors import OutOfMemory
from overtone.models.task import Array, GraphRunner
from overtone.system.machine import processor_name, trim_heap
from overtone.system.memory import memory_refusal

_T = TypeVar("_T")


class OpenvinoGraphs:
    """`Graphs` of a converted model.

    folder: with `<name>.xml` for each of `names`.
    precision: what it was converted to, or `bf16` for a model in float32.
    threads: OpenVINO's own.
    shapes: of a graph's first input, where it is always the same, which is faster.
    blockwise: graphs whose attention is computed block by block, for files of any length at once.
    wrap: makes the runner of a graph, by its name, of the compiled graph.
    Raises DeviceError for bf16 on a processor that would only emulate it.
    """

    name = "openvino"
    device = "cpu"
    offload: None = None
    fixed_bytes = 0
    warm_up: Sequence[Shape] = ()
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        precision: str,
        threads: int,
        shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
        blockwise: Sequence[str] = (),
        wrap: Callable[[str, GraphRunner], GraphRunner] = lambda _, compiled: compiled,
    ) -> None:
        check_precision(precision)
        self.precision, self.version, self.hardware = precision, version(), processor_name()
        self.quadratic = not blockwise
        self.memory = ProcessMemory(self._release)
        self._ran: set[str] = set()
        self.runners: dict[str, GraphRunner] = {}
        for name in names:
            path = folder / f"{name}.xml"
            compiled: GraphRunner = (
                BlockwiseEncoder(path, threads=threads, precision=precision)
                if name in blockwise
                else CompiledModel(path, threads=threads, precision=precision, shape=shapes.get(name))
            )
            self.runners[name] = wrap(name, compiled)

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs of a graph by name, valid until it is run again."""
        runner = self.runners[graph]
        if graph in self._ran:
            return runner.run(inputs)
        found: dict[str, Array] = {}
        serialized_first_inference(lambda: found.update(runner.run(inputs)))
        runner.release_file_pages()  # its weights are packed now
        self._ran.add(graph)
        return found

    def guard(self, function: Callable[[], _T]) -> _T:
        """The value of a function that runs graphs. Raises OutOfMemory, with nothing kept, where the system refuses
        memory."""
        try:
            return function()
        except (RuntimeError, MemoryError) as error:
            refusal = memory_refusal(error)
            if refusal is None:
                raise
        # Here nothing holds the error any more, whose traceback held the batch.
        gc.collect()
        self.memory.trim()
        raise OutOfMemory(refusal)

    def preempt(self) -> None:
        """Have a graph that runs in stretches end with `Preempted` before the next."""
        for runner in self.runners.values():
            runner.preempt()

    def _release(self) -> None:
        for runner in self.runners.values():
            runner.release()
            runner.release_file_pages()

    def close(self) -> None:
        """Free them."""
        self.runners.clear()
        gc.collect()
        trim_heap()
