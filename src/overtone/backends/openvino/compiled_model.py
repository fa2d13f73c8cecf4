"""Models compiled by OpenVINO for this processor: what the VAD and the CPU backend share."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from overtone.errors import CheckpointError, DeviceError, ModelError
from overtone.system.machine import drop_mapped
from overtone.system.telemetry import without_telemetry

Array = npt.NDArray[Any]

HINTS: Mapping[str, str] = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""OpenVINO's names of the precisions it computes in. Left to itself it takes bf16 wherever the processor has it, and
answers would depend on the machine. With 8-bit weights the rest is bf16 where that is fast, else float32."""

_FIRST_RUN = threading.Lock()
"""One for the whole process. OpenVINO's Python module sets itself up for NumPy at its first run, and two threads that
come there together wait for each other for ever."""

_SPARE_KERNELS = 32
"""Kernels of each kind that are kept beside one for each layer, least recently used first out. A layer whose kernel was
dropped packs its weights anew, which doubles the time of a run; those of shapes that were met are made in no time, and
kept without bound they make memory creep."""

_WITH_WEIGHTS = frozenset({"MatMul", "Convolution", "GroupConvolution"})


@functools.cache
def openvino() -> Any:
    """The module, imported where it is first needed."""
    with without_telemetry():
        import openvino
    return openvino


@functools.cache
def _core() -> Any:
    return openvino().Core()


def has_fast_bf16() -> bool:
    """True if this processor multiplies bf16 natively."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def check_precision(precision: str) -> None:
    """DeviceError for a precision that this processor does not run, or would only emulate."""
    if precision not in HINTS:
        raise DeviceError(f"{precision} is for CUDA devices; on the CPU use --precision {', '.join(HINTS)}.")
    if precision == "bf16" and not has_fast_bf16():
        raise DeviceError(
            "this processor has no fast bf16 (avx512_bf16, amx_bf16 or Arm's bf16), so it would be slower than "
            "fp32 and less exact; use --precision fp32 or int8."
        )


def version() -> str:
    """OpenVINO's own version."""
    return str(openvino().__version__)


def read_model(path: Path) -> Any:
    """An `openvino.Model`; its weights are mapped from the file, not read. CheckpointError if it is broken."""
    try:
        return _core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else "no reason given"
        raise CheckpointError(f"{path}: cannot be loaded by OpenVINO ({reason}); convert the model again.") from error


def save_model(model: Any, path: Path) -> None:
    """Write an `openvino.Model` and its weights as they are."""
    openvino().save_model(model, path, compress_to_fp16=False)


def serialized_first_inference(run: Callable[[], object]) -> None:
    """Make a model's first run, one at a time in this process; see `_FIRST_RUN`."""
    with _FIRST_RUN:
        run()


class CompiledModel:
    """A model ready to run on the CPU. `infer` belongs to one thread; `request` gives further ones.

    model: a file (IR or ONNX), or an `openvino.Model`. threads: the model's own, no one else's. precision: see `HINTS`.
    shape: the only shape of the first input, where there is one: faster than shapes that may change.

    Raises CheckpointError for a broken file, ModelError where an output does not answer to its name once compiled.
    """

    def __init__(
        self, model: Any, *, threads: int, precision: str = "fp32", shape: Sequence[int] | None = None
    ) -> None:
        path = model if isinstance(model, Path) else None
        if path is not None:
            model = read_model(path)
        if shape is not None:
            model.reshape({model.inputs[0].get_any_name(): list(shape)})
        hint = HINTS[precision]
        if hint == "bf16" and not has_fast_bf16():
            hint = "f32"
        layers = sum(operation.get_type_name() in _WITH_WEIGHTS for operation in model.get_ops())
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": str(_SPARE_KERNELS + layers),
        }
        self._weights = path.with_suffix(".bin") if path is not None else None
        self.inputs: tuple[str, ...] = tuple(place.get_any_name() for place in model.inputs)
        """Names of what it takes, as the file has them."""
        self._compiled = _core().compile_model(model, "CPU", settings)
        self._request: Any = self._compiled.create_infer_request()
        # Compiling adds the names of what is fused into an output, in no order: any of them may come first.
        self.outputs = {name: place for place, output in enumerate(self._compiled.outputs) for name in output.names}
        """Place of each output by name. One output may have several names."""
        for place, output in enumerate(model.outputs):
            for name in output.names:
                found = self.outputs.get(name)
                # One tensor may be given twice: then its name is right wherever it is found.
                if found is None or (found != place and name not in model.outputs[found].names):
                    raise ModelError(
                        f"{path or 'a model'}: OpenVINO {version()} loses its output {name!r}; use another release of "
                        "openvino, or --backend torch."
                    )

    @property
    def samples(self) -> int:
        """The last dimension of the first input, where it has only one."""
        return int(self._compiled.inputs[0].get_shape()[-1])

    def request(self) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
        """A separate runner, for one thread or stream. Its outputs are valid until its next run."""
        return partial(self._run, self._compiled.create_infer_request())

    def infer(self, inputs: Mapping[str, Array]) -> Array:
        """The model's only output, as NumPy sees it; valid until the next run."""
        found: Array = self._request.infer(inputs, share_inputs=True, share_outputs=True)[0]
        return found

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """All outputs by each of their names; valid until the next run. `inputs` may hold more than the model takes."""
        return self._run(self._request, inputs)

    def _run(self, request: Any, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        given = {place: inputs[name] for place, name in enumerate(self.inputs)}
        found = request.infer(given, share_inputs=True, share_outputs=True)
        return {name: found[place] for name, place in self.outputs.items()}

    def output_shape(self, name: str) -> tuple[int, ...]:
        """An output's shape, -1 where it may change."""
        shape = self._compiled.output(name).get_partial_shape()
        return tuple(-1 if dimension.is_dynamic else dimension.get_length() for dimension in shape)

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Run once, which packs the weights for the processor, and let go of the file they came from."""
        serialized_first_inference(lambda: self._compiled.create_infer_request().infer(inputs))
        self.release_file_pages()

    def preempt(self) -> None:
        """Do nothing: a run is one call, and goes to its end."""

    def release_file_pages(self) -> None:
        """Give back the pages of the weights' file: packed copies are what runs, and these would count twice."""
        if self._weights is not None:
            drop_mapped(self._weights)

    def release(self) -> None:
        """Give back what runs left allocated, to the heap; what they gave is no longer valid."""
        self._compiled.release_memory()
        self._request = self._compiled.create_infer_request()  # the old one holds its last outputs
