"""Models compiled by OpenVINO for this processor: what the VAD and the CPU backend share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from overtone.backends.openvino.compilation import compile_file, compile_model
from overtone.backends.openvino.model_file import NO_CHECKSUMS
from overtone.backends.openvino.module import openvino, openvino_core
from overtone.backends.openvino.page_reclaimer import PageReclaimer
from overtone.errors import DeviceError
from overtone.wording import param

Array = npt.NDArray[Any]

HINTS: Mapping[str, str] = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""OpenVINO's names of the precisions it computes in. Left to itself it takes bf16 wherever the processor has it, and
answers would depend on the machine. With 8-bit weights the rest is bf16 where that is fast, else float32."""

_FIRST_RUN = threading.Lock()
"""One for the whole process. OpenVINO's Python module sets itself up for NumPy at its first run, and two threads that
come there together wait for each other for ever."""


def has_fast_bf16() -> bool:
    """True if this processor multiplies bf16 natively."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def check_precision(precision: str) -> None:
    """DeviceError for a precision that this processor does not run, or would only emulate."""
    if precision not in HINTS:
        raise DeviceError(
            f"{precision} is for CUDA devices; on the CPU {param('precision')} can be {', '.join(HINTS)}."
        )
    if precision == "bf16" and not has_fast_bf16():
        raise DeviceError(
            "this processor has no fast bf16 (avx512_bf16, amx_bf16 or Arm's bf16), so it would be slower than "
            f"fp32 and less exact; use {param('precision', 'fp32')} or int8."
        )


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
    checksums: of a file, see `ModelFile`.

    Raises CheckpointError for a broken file, ModelError where an output does not answer to its name once compiled.
    """

    def __init__(
        self,
        model: Any,
        *,
        threads: int,
        precision: str = "fp32",
        shape: Sequence[int] | None = None,
        checksums: Mapping[str, str] = NO_CHECKSUMS,
    ) -> None:
        hint = HINTS[precision]
        if hint == "bf16" and not has_fast_bf16():
            hint = "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        made = (
            compile_file(model, settings, shape=shape, checksums=checksums)
            if isinstance(model, Path)
            else compile_model(model, settings, shape=shape)
        )
        self.inputs: tuple[str, ...] = made.names.inputs
        """Names of what it takes, as the file has them."""
        self.outputs = made.names.outputs
        """Place of each output by name. One output may have several names."""
        self._compiled, self._weights = made.model, made.weights
        self._request: Any = self._compiled.create_infer_request()

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
        with PageReclaimer(self.release_file_pages):
            serialized_first_inference(lambda: self._compiled.create_infer_request().infer(inputs))

    def preempt(self) -> None:
        """Do nothing: a run is one call, and goes to its end."""

    def release_file_pages(self) -> None:
        """Give back the pages of the weights' file: packed copies are what runs, and these would count twice."""
        if self._weights is not None:
            self._weights.drop_pages()

    def release(self) -> None:
        """Give back what runs left allocated, to the heap; what they gave is no longer valid."""
        self._compiled.release_memory()
        self._request = self._compiled.create_infer_request()  # the old one holds its last outputs
