"""A model's graphs through OpenVINO, on the CPU."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar

from overtone.backends.memory import ProcessMemory
from overtone.backends.openvino.blockwise_encoder import BlockwiseEncoder
from overtone.backends.openvino.compiled_model import CompiledModel, check_precision, serialized_first_inference
from overtone.backends.openvino.module import version
from overtone.backends.openvino.page_reclaimer import PageReclaimer
from overtone.batching.cost_model import Shape
from overtone.errors import OutOfMemory
from overtone.models.converted import Converted
from overtone.models.task import Array, GraphRunner
from overtone.system.machine import processor_name, trim_heap
from overtone.system.memory import memory_refusal

_T = TypeVar("_T")

_PACKING_RUNS = 2
"""First runs of a graph, in which weights are packed: at the first, and for another number of frames once more."""

_AT_ONCE = 2
"""Graphs that are loaded at the same time. More would hold what compiling takes of each, and most models have two."""


class OpenvinoGraphs:
    """`Graphs` of a converted model.

    model: with `<name>.xml` for each of `names` in its folder.
    precision: what it was converted to, or `bf16` for a model in float32.
    threads: OpenVINO's own.
    shapes: of a graph's first input, where it is always the same, which is faster.
    blockwise: graphs whose attention is computed block by block, for files of any length at once.
    wrap: makes the runner of a graph, by its name, of the compiled graph.
    Raises CheckpointError for files that are broken, and DeviceError for bf16 where it would only be emulated.
    """

    name = "openvino"
    device = "cpu"
    offload: None = None
    fixed_bytes = 0
    warm_up: Sequence[Shape] = ()
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        model: Converted,
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
        self._runs: Counter[str] = Counter()

        def load(name: str) -> GraphRunner:
            path = model.folder / f"{name}.xml"
            if name in blockwise:
                return BlockwiseEncoder(path, threads=threads, precision=precision, checksums=model.checksums)
            return CompiledModel(
                path, threads=threads, precision=precision, shape=shapes.get(name), checksums=model.checksums
            )

        # Most of loading is in one thread each: copying, parsing, optimizing.
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="overtone-load") as pool:
            loaded = pool.map(load, names)
            self.runners: dict[str, GraphRunner] = {
                name: wrap(name, runner) for name, runner in zip(names, loaded, strict=True)
            }

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs of a graph by name, valid until it is run again."""
        runner = self.runners[graph]
        if self._runs[graph] == _PACKING_RUNS:
            return runner.run(inputs)
        found: dict[str, Array] = {}
        with PageReclaimer(runner.release_file_pages):
            if self._runs[graph]:
                found.update(runner.run(inputs))
            else:
                serialized_first_inference(lambda: found.update(runner.run(inputs)))
        self._runs[graph] += 1
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
