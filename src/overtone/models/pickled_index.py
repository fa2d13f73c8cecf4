"""Index of a file by `torch.save`: a pickle, read without executing anything in it.

A pickle is a program for a small machine, which may call anything. The machine here has the instructions that make
plain values, and the few names that make tensors; whatever else is called becomes an object that does nothing. Nothing
is hashed but plain keys, nothing is set on any object, and no instruction allocates by a size that the file gives.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

_STORAGES: Mapping[str, str] = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""Numbers by PyTorch's names and by those safetensors has for them."""


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor as the index has it: nothing of it is checked.

    - `key`: of its storage.
    - `kind`: of its numbers, None for an unknown one.
    - `offset`, `strides`: in numbers.
    """

    key: str
    kind: str | None
    offset: Any
    shape: Any
    strides: Any


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str | None


class Inert:
    """Placeholder for any object that is neither tensor nor plain value."""


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> object:
    if not isinstance(storage, _Storage):
        return Inert()
    return PickledTensor(storage.key, storage.kind, offset, shape, strides)


def _mapping(pairs: Any = (), *_: object) -> dict[Any, Any]:
    """An ordered mapping, empty or of pairs, as Python 2 wrote it."""
    return {key: value for key, value in pairs if type(key) in _KEYS}


_MAKERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _mapping,
    ("torch", "Size"): lambda sizes=(), *_: sizes,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data=None, *_: data,
}
"""Functions that an index calls, by module and name, and those that stand in for them."""

_KEYS = (str, int, float, bool, type(None))
"""Types of the keys of mappings. Others are left out with their values: to hash a tuple of tuples may take for ever, or
recurse until the process dies."""

_PLAIN_OPCODES = (
    *(pickle.PROTO, pickle.STOP, pickle.FRAME, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG4),
    *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.SHORT_BINSTRING, pickle.BINSTRING),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_DICT),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID),
)
"""Instructions that make plain values, and those by which an index names what it would call."""


def read_index(data: bytes) -> object:
    """Read the index as plain values: mappings, lists, tuples, numbers and texts, a `PickledTensor` for each tensor,
    and `Inert` for all else. A pickle that is broken raises what it likes.
    """
    return _Index(io.BytesIO(data)).load()


class _Index(pickle._Unpickler):
    """Unpickler in Python, not C: there an index of a few bytes can ask for gigabytes of places to remember."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in _PLAIN_OPCODES
    }

    if TYPE_CHECKING:  # what typeshed does not have
        stack: list[Any]

        def pop_mark(self) -> list[Any]: ...

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _Storage("", _STORAGES[name])
        return _MAKERS.get((module, name))

    def persistent_load(self, pid: Any) -> object:
        _, storage, key, *_ = pid
        if type(key) is not str:
            return Inert()
        return _Storage(key, storage.kind if isinstance(storage, _Storage) else None)

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        known = function in _MAKERS.values() if callable(function) else False
        self.stack.append(function(*arguments) if known and isinstance(arguments, tuple) else Inert())

    def _new(self) -> None:
        del self.stack[-2:]
        self.stack.append(Inert())

    def _new_with_names(self) -> None:
        del self.stack[-3:]
        self.stack.append(Inert())

    def _build(self) -> None:
        self.stack.pop()  # what would be set on the object

    def _set(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key, value])

    def _set_many(self) -> None:
        self._put(self.pop_mark())

    def _put(self, items: list[Any]) -> None:
        if isinstance(into := self.stack[-1], dict):
            into.update((key, value) for key, value in zip(items[::2], items[1::2], strict=True) if type(key) in _KEYS)

    def _append(self) -> None:
        value = self.stack.pop()
        if isinstance(into := self.stack[-1], list):
            into.append(value)

    def _append_many(self) -> None:
        values = self.pop_mark()
        if isinstance(into := self.stack[-1], list):
            into.extend(values)

    def _empty_set(self) -> None:
        self.stack.append(Inert())

    def _add_many(self) -> None:
        self.pop_mark()

    def _frozen_set(self) -> None:
        self.pop_mark()
        self.stack.append(Inert())

    dispatch |= {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_with_names,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set,
        pickle.SETITEMS[0]: _set_many,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _append_many,
        pickle.EMPTY_SET[0]: _empty_set,
        pickle.ADDITEMS[0]: _add_many,
        pickle.FROZENSET[0]: _frozen_set,
    }
