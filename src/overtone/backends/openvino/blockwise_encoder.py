"""The encoder for whole files: attention in blocks of queries, so that memory grows with the length, not with its
square.

The exported encoder adds one bias, batch × heads × tokens × tokens, in every layer: best for segments, too large for
hours. Here its graph is cut at each attention before it is compiled, and the attention between two pieces is computed
block by block. The operations, their weights and their numbers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.backends.openvino.block_attention import BlockAttention
from overtone.backends.openvino.compiled_model import Array, CompiledModel
from overtone.backends.openvino.model_file import NO_CHECKSUMS, ModelFile
from overtone.backends.openvino.module import openvino
from overtone.errors import ModelError

_TOKENS = 256
"""Tokens that a piece between two attentions runs on at a time."""

_TOKEN_AXIS = {"query": 2, "key": 2, "value": 2, "attended": 2}
"""Of every other value it is 1."""


class BlockwiseEncoder:
    """A `GraphRunner` with the exported encoder's answers. Used by one thread at a time.

    path: of `encoder.xml`. checksums: see `ModelFile`. Raises CheckpointError for a broken file, ModelError if its
    attention is not as `models.export` writes it.
    """

    def __init__(
        self, path: Path, *, threads: int, precision: str, checksums: Mapping[str, str] = NO_CHECKSUMS
    ) -> None:
        self._file = ModelFile(path, checksums)
        pieces, self._slopes = _cut(self._file.model)
        self._pieces = [CompiledModel(piece, threads=threads, precision=precision) for piece in pieces]
        heads, width = (self._pieces[0].output_shape("query")[axis] for axis in (1, 3))
        self._attention = BlockAttention(heads, width, threads=threads, precision=precision)

    @property
    def samples(self) -> int:
        """0: its lengths may change."""
        return 0

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """`embeddings` (batch, frames, dim) of `features` of the same shape, and of true `counts`."""
        first, *others = self._pieces
        values: dict[str, Array] = {name: array.copy() for name, array in first.run(inputs).items()}
        first.release()
        extra = values["key"].shape[2] - inputs["features"].shape[1]
        for piece, slopes in zip(others, self._slopes, strict=True):
            query, key, value = (values.pop(name) for name in ("query", "key", "value"))
            values["attended"] = self._attention.attend(query, key, value, slopes, inputs["counts"], extra)
            del query, key, value
            values = self._by_stretches(piece, values)
        return {"embeddings": values["embeddings"][:, extra:]}

    @staticmethod
    def _by_stretches(piece: CompiledModel, values: dict[str, Array]) -> dict[str, Array]:
        """Run a piece on some tokens at a time: between two attentions each token stands alone."""
        tokens = values["attended"].shape[_TOKEN_AXIS["attended"]]
        found: dict[str, Array] = {}
        for start in range(0, tokens, _TOKENS):
            part = {name: np.ascontiguousarray(_rows(name, values[name], start)) for name in piece.inputs}
            for name, array in piece.run(part).items():
                if name not in found:
                    shape = list(array.shape)
                    shape[_TOKEN_AXIS.get(name, 1)] = tokens
                    found[name] = np.empty(shape, array.dtype)
                _rows(name, found[name], start)[:] = array
        return found

    def preempt(self) -> None:
        """Do nothing: the encoder is run to its end."""

    def release_file_pages(self) -> None:
        """Give back the pages of the weights' file."""
        self._file.drop_pages()

    def release(self) -> None:
        """Give back what runs left allocated, also one that broke off."""
        for piece in self._pieces:
            piece.release()
        self._attention.release()


def _rows(name: str, array: Array, start: int) -> Array:
    """A view of some tokens' rows."""
    rows: tuple[slice, ...] = (slice(None),) * _TOKEN_AXIS.get(name, 1) + (slice(start, start + _TOKENS),)
    return array[rows]


def _cut(model: Any) -> tuple[list[Any], list[npt.NDArray[np.float32]]]:
    """The pieces of an encoder before, between and after its attentions, and the ALiBi slopes of each attention.

    A piece takes `attended` and what the piece before it kept (the residual), and gives the next attention's `query`,
    `key` and `value` and what it keeps, or at last the `embeddings`, those of the extra tokens first.
    """
    ov = openvino()
    attentions = [op for op in model.get_ordered_ops() if op.get_type_name() == "ScaledDotProductAttention"]
    if not attentions:
        raise ModelError("the converted encoder holds no attention; convert the model again.")
    slopes = [_slopes(attention) for attention in attentions]
    parameters = list(model.get_parameters())
    end = model.get_results()[0].input_value(0)
    if end.get_node().get_type_name() in ("Slice", "StridedSlice"):
        end = end.get_node().input_value(0)  # the extra tokens are taken off by `infer`
    pieces: list[Any] = []
    done: set[str] = set()
    for attention in (*attentions, None):
        last = [end] if attention is None else attention.input_values()[:3]
        names = ["embeddings"] if attention is None else ["query", "key", "value"]
        fresh = _ancestors([value.get_node() for value in last], done)
        done |= {op.get_friendly_name() for op in fresh}
        # What later pieces still take of this one: found before anything is changed.
        kept = [] if attention is None else _kept(fresh, done, attentions)
        results = [_result(value, name) for value, name in zip(last, names, strict=True)]
        following = []
        for value in kept:
            takers = [place for place in value.get_target_inputs() if place.get_node().get_friendly_name() not in done]
            if len(value.get_partial_shape()) != 3:
                raise ModelError("the converted encoder's blocks are not as they were exported; convert it again.")
            name = f"kept {len(pieces)}.{len(results)}"
            results.append(_result(value, name))
            parameter = _parameter(value, name)
            for place in takers:
                place.replace_source_output(parameter.output(0))
            following.append(parameter)
        pieces.append(ov.Model(results, parameters, f"piece {len(pieces)}"))
        if attention is not None:
            attended = _parameter(attention.output(0), "attended")
            attention.output(0).replace(attended.output(0))
            attended.output(0).get_tensor().set_names({"attended"})  # `replace` handed on the old ones
            parameters = [attended, *following]
    return pieces, slopes


def _result(value: Any, name: str) -> Any:
    result = openvino().opset13.result(value)
    result.output(0).get_tensor().set_names({name})
    return result


def _parameter(value: Any, name: str) -> Any:
    ov = openvino()
    shape = [-1 if size.is_dynamic else size.get_length() for size in value.get_partial_shape()]
    parameter = ov.op.Parameter(value.get_element_type(), ov.PartialShape(shape))
    parameter.output(0).get_tensor().set_names({name})
    return parameter


def _ancestors(ops: list[Any], done: set[str]) -> list[Any]:
    """Operations that these take part of, themselves too, without those that are done."""
    found: dict[str, Any] = {}
    waiting = list(ops)
    while waiting:
        op = waiting.pop()
        name = op.get_friendly_name()
        if name in found or name in done:
            continue
        found[name] = op
        waiting += [value.get_node() for value in op.input_values()]
    return list(found.values())


def _kept(fresh: list[Any], done: set[str], attentions: list[Any]) -> list[Any]:
    """Values of these operations that are used later, other than for attention; constants go where they are used."""
    masks = {name for attention in attentions for name in _names(attention.input_value(3).get_node(), done)}
    later = []
    for op in fresh:
        if op.get_type_name() == "Constant":
            continue
        for value in op.outputs():
            takers = [place.get_node() for place in value.get_target_inputs()]
            if any(
                taker.get_friendly_name() not in done | masks and taker.get_type_name() != "ScaledDotProductAttention"
                for taker in takers
            ):
                later.append(value)
    return later


def _names(op: Any, done: set[str]) -> set[str]:
    return {found.get_friendly_name() for found in _ancestors([op], done)}


def _slopes(attention: Any) -> npt.NDArray[np.float32]:
    """ALiBi slopes (heads, 1, 1) of an attention's bias as `models.export` makes it; zeros where it has none."""
    heads = attention.input_value(0).get_partial_shape()[1].get_length()
    mask = attention.input_value(3).get_node()
    if mask.get_type_name() == "Unsqueeze":
        return np.zeros((heads, 1, 1), np.float32)
    sloped = mask.input_value(1).get_node()
    constant = sloped.input_value(0).get_node() if sloped.get_type_name() == "Multiply" else sloped
    if mask.get_type_name() != "Subtract" or constant.get_type_name() != "Constant":
        raise ModelError("the converted encoder's bias is not as it was exported; convert the model again.")
    return np.array(constant.data, np.float32).reshape(heads, 1, 1)
