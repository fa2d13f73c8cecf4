"""Attention over whole files, through OpenVINO, in blocks of queries.

The bias of ALiBi lives for one block, and heads whose slope leaves nothing of far keys do not look at them
(`models.locality`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from overtone.backends.openvino.compiled_model import Array, CompiledModel
from overtone.backends.openvino.module import openvino
from overtone.models.layers.attention_mask import HIDDEN
from overtone.models.layers.attention_span import SKIPPED_SHARE, UNIT, HeadGroup, bands

BIAS_BYTES = 16 << 20
"""Bytes that the bias of one block of queries may take, or `_LEAST_QUERIES` of it if that is more."""

_LEAST_QUERIES, _FEW_QUERIES, _MOST_QUERIES = 32, 128, 512
"""Queries of a block: where windows are short more would only widen them, and with fewer the products get small.
Multiples of `locality.UNIT`."""

_FINEST_WINDOW, _WINDOWS_PER_OCTAVE = 64, 8
"""Lengths of windows, in tokens, come in few steps: OpenVINO compiles for every shape it meets."""

Heads = slice | list[int]


class BlockAttention:
    """Softmax attention of `heads` heads of `width` values each. Used by one thread at a time."""

    def __init__(self, heads: int, width: int, *, threads: int, precision: str) -> None:
        self._all: Heads = slice(heads)
        self._model = CompiledModel(_attention(width), threads=threads, precision=precision)

    def attend(self, query: Array, key: Array, value: Array, slopes: Array, counts: Array, extra: int) -> Array:
        """(batch, heads, tokens, width) thrice to the same once.

        slopes: float32 (heads, 1, 1), zeros for no ALiBi. counts: int64 (batch,), real tokens of each item beside the
        `extra` first ones, which have no place in time. Rows of tokens that are not real are meaningless, and finite.
        """
        batch, heads, tokens, _ = query.shape
        places = np.arange(tokens, dtype=np.float32) - extra
        valid = places < counts[:, None]
        # Of every key; what it is seen by is all that differs between blocks.
        told = {
            "hidden": np.where(valid, np.float32(0), np.float32(HIDDEN))[:, None, None, :],
            "key_places": np.maximum(places, -1),
        }
        attended = np.empty_like(query)

        def run(some: Heads, rows: range, seen: Mapping[str, Array]) -> None:
            asked = {
                "query": np.ascontiguousarray(query[:, some, rows.start : rows.stop]),
                "query_places": told["key_places"][rows.start : rows.stop],
            }
            attended[:, some, rows.start : rows.stop] = self._model.infer({**asked, **seen, "slopes": slopes[some]})

        def see(some: Heads, keys: range) -> Mapping[str, Array]:
            columns = np.r_[:extra, keys.start : keys.stop]
            return {name: array[..., columns] for name, array in told.items()} | {
                "key": _taken(key, some, keys, extra),
                "value": _taken(value, some, keys, extra),
            }

        if extra:
            run(self._all, range(extra), see(self._all, range(extra, tokens)))
        share = SKIPPED_SHARE if slopes.any() else 0.0
        for band in bands(query, key, slopes[:, 0, 0], None if valid.all() else valid, extra, share):
            some = self._all if len(band.heads) == heads else list(band.heads)
            before: range | None = None
            for rows, keys in _blocks(band, batch, extra, tokens):
                if keys != before:
                    before, seen = keys, see(some, keys)
                run(some, rows, seen)
        self.release()
        return attended

    def release(self) -> None:
        """Give back what runs left allocated, to the heap."""
        self._model.release()


def _taken(x: Array, heads: Heads, keys: range, extra: int) -> Array:
    """Some heads' rows at the extra tokens and at `keys`; no copy if these are all there are."""
    if extra + len(keys) == x.shape[2]:
        return np.ascontiguousarray(x[:, heads])
    return np.concatenate([x[:, heads, :extra], x[:, heads, keys.start : keys.stop]], axis=2)


def _blocks(band: HeadGroup, batch: int, extra: int, tokens: int) -> Iterator[tuple[range, range]]:
    """Queries that run together, and the keys that they see beside the extra ones."""
    most = BIAS_BYTES // (4 * batch * len(band.heads))
    reach = sum(band.attention_spans) // max(1, len(band.attention_spans))
    size = min(_MOST_QUERIES, max(_FEW_QUERIES, reach // 2 // UNIT * UNIT))
    while size > _LEAST_QUERIES and size * min(tokens, extra + size + 2 * reach) > most:
        size -= UNIT
    for start in range(extra, tokens, size):
        rows = range(start, min(start + size, tokens))
        yield rows, _widened(band.keys(rows, extra, tokens), range(extra, tokens))


def _widened(keys: range, everything: range) -> range:
    """A window of one of few lengths, within `everything`."""
    step = max(_FINEST_WINDOW, (1 << (len(keys) - 1).bit_length() - 1) // _WINDOWS_PER_OCTAVE)
    length = -(-len(keys) // step) * step
    if length >= len(everything):
        return everything
    start = min(keys.start, everything.stop - length)
    return range(start, start + length)


def _attention(width: int) -> Any:
    """One block's attention as an `openvino.Model`; inputs by name as `BlockAttention` gives them."""
    ov = openvino()
    ops = ov.opset13
    shapes = {
        "query": [-1, -1, -1, width],
        "key": [-1, -1, -1, width],
        "value": [-1, -1, -1, width],
        "hidden": [-1, 1, 1, -1],
        "slopes": [-1, 1, 1],
        "query_places": [-1],
        "key_places": [-1],
    }
    inputs = {name: ov.op.Parameter(ov.Type.f32, ov.PartialShape(shape)) for name, shape in shapes.items()}
    for name, parameter in inputs.items():
        parameter.output(0).get_tensor().set_names({name})
    zero, one = (ops.constant(np.array(value, np.int64)) for value in (0, 1))
    rows = ops.unsqueeze(inputs["query_places"], one)
    columns = ops.unsqueeze(inputs["key_places"], zero)
    nowhere = ops.constant(np.float32(0))
    timed = [ops.convert(ops.greater_equal(places, nowhere), "f32") for places in (rows, columns)]
    distance = ops.multiply(ops.abs(ops.subtract(rows, columns)), ops.multiply(*timed))
    bias = ops.subtract(inputs["hidden"], ops.multiply(inputs["slopes"], distance))
    taken = ops.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"], bias)
    taken.output(0).get_tensor().set_names({"attended"})
    return ov.Model([ops.result(taken)], list(inputs.values()), "attention")
