"""Tensors read from whatever file they are in; PyTorch and safetensors are the oracles."""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from overtone.models.tensor_file import LegacyFileError, TensorFile, TensorFileError

KINDS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def saved(path: Path, state: Any) -> TensorFile:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return TensorFile(path)


@pytest.mark.parametrize("name", ["model.pt", "campplus_cn_common.bin", "model.safetensors"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_of_every_kind_are_those_that_were_saved(tmp_path: Path, name: str, kind: torch.dtype) -> None:
    tensor = (torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 50).to(kind)
    file = saved(tmp_path / name, {"a": tensor, "b.c": tensor[:0].clone(), "scalar": tensor[0, 0].clone()})
    for key, shape in (("a", (3, 4)), ("b.c", (0, 4)), ("scalar", ())):
        assert file.tensors[key].shape == shape
        assert file.tensors[key].floating == kind.is_floating_point
        assert file.read(key).shape == shape
    wanted = tensor.float().numpy() if kind.is_floating_point else tensor.numpy()
    assert file.read("a").dtype == wanted.dtype
    np.testing.assert_array_equal(file.read("a"), wanted)
    np.testing.assert_array_equal(file.read("scalar"), wanted[0, 0])


def test_views_are_read_as_they_look(tmp_path: Path) -> None:
    whole = torch.arange(60.0).reshape(3, 4, 5)
    state = {
        "turned": whole.transpose(0, 2),
        "part": whole[1:, ::2],
        "parameter": torch.nn.Parameter(whole),
        "half": whole.half()[1:],
    }
    file = saved(tmp_path / "model.pt", state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(file.read(name), tensor.detach().float().numpy())


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_what_stands_beside_the_weights_is_not_read(tmp_path: Path, wrapper: str) -> None:
    weights = {"a": torch.ones(10, 10)}
    beside = {"args": argparse.Namespace(lr=1), "last_optimizer_state": {"state": {0: {"exp_avg": torch.ones(99, 99)}}}}
    file = saved(tmp_path / "model.pt", {wrapper: weights | {"_ema": weights, "step": 3}, **beside})
    assert list(file.tensors) == ["a"]
    assert file.loaded_bytes == 400


def test_wrappers_may_be_nested(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pt", {"state_dict": {"model": collections.OrderedDict(a=torch.ones(2))}})
    np.testing.assert_array_equal(file.read("a"), [1, 1])


def test_a_mapping_of_pairs_is_read_as_python_2_wrote_it(tmp_path: Path) -> None:
    """`OrderedDict([['a', tensor]])`, where newer ones are made empty and filled."""
    item = _index().removeprefix(b"\x80\x02}q\x00").removesuffix(b"s.")
    pairs = b"\x80\x02ccollections\nOrderedDict\n]](" + item + b"ea\x85R."
    _zipped(tmp_path / "model.pt", pairs, storage=np.float32([1, 2]).tobytes())
    assert TensorFile(tmp_path / "model.pt").read("a").tolist() == [1, 2]


def test_half_precision_counts_as_it_is_loaded(tmp_path: Path) -> None:
    assert saved(tmp_path / "model.pt", {"a": torch.ones(10, dtype=torch.bfloat16)}).loaded_bytes == 40


class _Trap:
    """Pickles into a call that would end the tests."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('code from a checkpoint was run')",))


class _Odd:
    """Pickles into all that can be done to an object."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Odd, (1,), {"a": 1}, iter([1, 2]), iter([("a", 1)]))

    def __init__(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("protocol", range(2, 6))
def test_objects_beside_tensors_do_nothing(tmp_path: Path, protocol: int) -> None:
    state = {"model": {"a": torch.ones(2), "odd": _Odd(), "trap": _Trap()}, "more": [_Trap(), {_Odd(): _Odd}]}
    torch.save(state, tmp_path / "model.pt", pickle_protocol=protocol)
    assert list(TensorFile(tmp_path / "model.pt").tensors) == ["a"]


def test_weights_that_are_an_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TensorFileError, match="never runs code"):
        saved(tmp_path / "model.pt", {"model": _Trap()})


def test_a_file_of_old_says_so(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(LegacyFileError):
        TensorFile(tmp_path / "model.pt")


def test_what_pytorch_would_take_for_a_zip_is_no_file_of_old(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04".ljust(257) + b"ustar" + bytes(500))
    with pytest.raises(TensorFileError) as caught:
        TensorFile(tmp_path / "model.pt")
    assert not isinstance(caught.value, LegacyFileError)


def test_numbers_between_those_of_a_tensor_count_as_they_are_read(tmp_path: Path) -> None:
    assert saved(tmp_path / "model.pt", {"a": torch.ones(100, 100)[:, ::50]}).loaded_bytes >= 4 * 9951


def _zipped(path: Path, index: bytes, *, storage: bytes = b"", compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("archive/data.pkl", index)
        parts.writestr("archive/data/0", storage, compression)


def _index(offset: int = 0, shape: Any = (2,), strides: Any = (1,), key: str = "0") -> bytes:
    """The index of one tensor, written by PyTorch's own rules but for what is changed."""

    class Storage:
        pass

    class Pickler(pickle._Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", 2) if isinstance(value, Storage) else None

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            hooks: dict[str, Any] = {}
            return (torch._utils._rebuild_tensor_v2, (Storage(), offset, shape, strides, False, hooks))

    import io

    out = io.BytesIO()
    Pickler(out, 2).dump({"a": Tensor()})
    return out.getvalue()


def test_an_index_written_by_hand_is_read(tmp_path: Path) -> None:
    _zipped(tmp_path / "model.pt", _index(), storage=np.float32([1, 2]).tobytes())
    assert TensorFile(tmp_path / "model.pt").read("a").tolist() == [1, 2]


@pytest.mark.parametrize(
    "index",
    [
        _index(offset=1),
        _index(offset=-1),
        _index(shape=(3,)),
        _index(shape=(-2,)),
        _index(shape=(2.0,)),
        _index(shape=(2, 2), strides=(1,)),
        _index(strides=(9,)),
        _index(strides=(-1,)),
        _index(shape=(1,) * 99, strides=(1,) * 99),
        _index(shape="abc"),
        _index(key="7"),
        _index(shape=(1 << 61,), strides=(0,)),
        _index(shape=(3,), strides=(0,)),
        _index(shape=(2, 2), strides=(1, 0)),
        _index(shape=(1 << 70, 0), strides=(1, 1)),
        _index(shape=(10**400,), strides=(0,)),
        _index(shape=(2, 2), strides=(1 << 70, 1)),
        b"",
        b"\x80\x02}q\x00.",  # an empty mapping holds no tensor, and is one
        b"\x80\x02]q\x00.",
        b"\x80\x02r\xff\xff\xff\x7f.",  # 2 billion places to remember
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\x00\x00.",  # bytes without end
        b"garbage",
    ],
    ids=lambda index: repr(index)[-12:],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, index: bytes) -> None:
    _zipped(tmp_path / "model.pt", index, storage=bytes(8))
    if index == b"\x80\x02}q\x00.":
        assert not TensorFile(tmp_path / "model.pt").tensors
        return
    with pytest.raises(TensorFileError):
        TensorFile(tmp_path / "model.pt")


def test_the_stride_of_a_single_row_says_nothing(tmp_path: Path) -> None:
    _zipped(tmp_path / "model.pt", _index(shape=(1, 2), strides=(1 << 40, 1)), storage=np.float32([1, 2]).tobytes())
    assert TensorFile(tmp_path / "model.pt").read("a").tolist() == [[1, 2]]


BOMBS = {
    "tuples in tuples": b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.",
    "tuples of twice the same": b"\x80\x02})q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"Ns.",
    "a set of such": b"\x80\x04\x8f()q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"\x90.",
    "a frozen set of such": b"\x80\x04()q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"\x91.",
    "an array of bytes": b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b".",
    "an array beyond all": b"\x80\x05\x96" + (1 << 45).to_bytes(8, "little") + b".",
    "names without end": b"\x80\x02" + b"ca\nb\n" * 200_000 + b".",
    "places without end": b"\x80\x02}r\xff\xff\xff\x7f.",
    "defaults of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}U\x0c__defaults__(K\x01tRs\x86b.",
    "the same twice": b"\x80\x02}22222222.",
    "text of old": b"(dp0\nS'a'\np1\nI1\ns.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_index_that_would_end_the_process_does_not(tmp_path: Path, name: str) -> None:
    _zipped(tmp_path / "model.pt", BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(TensorFileError):
        assert not TensorFile(tmp_path / "model.pt").tensors
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB


def test_nothing_stays_changed_by_a_file(tmp_path: Path) -> None:
    _zipped(tmp_path / "model.pt", BOMBS["defaults of a function"])
    with contextlib.suppress(TensorFileError):
        TensorFile(tmp_path / "model.pt")
    _zipped(tmp_path / "model.pt", _index(), storage=np.float32([1, 2]).tobytes())
    assert TensorFile(tmp_path / "model.pt").read("a").tolist() == [1, 2]


@pytest.mark.parametrize("part", ["archive/data.pkl", "archive/byteorder"])
def test_a_small_part_that_would_grow_is_refused(tmp_path: Path, part: str) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as parts:
        if part != "archive/data.pkl":
            parts.writestr("archive/data.pkl", b"\x80\x02}.", zipfile.ZIP_STORED)
        parts.writestr(part, bytes(64 << 20))
    with pytest.raises(TensorFileError, match="compressed"):
        TensorFile(tmp_path / "model.pt")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, 100_000), value=st.integers(0, 255), kind=st.sampled_from(["model.pt", "model.safetensors"])
)
def test_a_byte_that_is_wrong_is_noticed_or_does_no_harm(tmp_path: Path, where: int, value: int, kind: str) -> None:
    path = tmp_path / kind
    state = {"a": torch.ones(3, 4), "b": torch.zeros(2, dtype=torch.int64)}
    save_file(state, path) if kind.endswith("safetensors") else torch.save({"model": state}, path)
    data = bytearray(path.read_bytes())
    data[where % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(TensorFileError):
        file = TensorFile(path)
        for name in file.tensors:
            assert file.read(name).size <= len(data)


def _safetensors(**entry: Any) -> bytes:
    index = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entry}).encode()
    return len(index).to_bytes(8, "little") + index + bytes(64)


@pytest.mark.parametrize(
    "entry",
    [
        {"data_offsets": [-8, 0]},
        {"data_offsets": [0, 4]},
        {"data_offsets": [1.5, 9.5]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0, True]},
        {"shape": [0, 1 << 70], "data_offsets": [0, 0]},
        {"shape": [-2]},
        {"shape": "ab"},
        {"shape": 2},
    ],
    ids=repr,
)
def test_a_header_of_safetensors_that_lies_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    (tmp_path / "model.safetensors").write_bytes(_safetensors())
    assert TensorFile(tmp_path / "model.safetensors").read("a").tolist() == [0, 0]
    (tmp_path / "model.safetensors").write_bytes(_safetensors(**entry))
    with pytest.raises(TensorFileError):
        TensorFile(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (b"[" * 100_000, "nests deeper"),
        (b'{"a": ' + b"9" * 1_000_000 + b"}", "1,000,000 characters"),
        (b'{"a": {}, "a": {}}', "there twice"),
        (b"[]", "no mapping"),
    ],
    ids=["deep", "a long number", "a name twice", "a list"],
)
def test_a_header_of_safetensors_has_limits(tmp_path: Path, index: bytes, said: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(index).to_bytes(8, "little") + index)
    with pytest.raises(TensorFileError, match=said):
        TensorFile(tmp_path / "model.safetensors")


def test_compressed_tensors_are_refused(tmp_path: Path) -> None:
    _zipped(tmp_path / "model.pt", _index(), storage=bytes(8), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(TensorFileError, match="compressed"):
        TensorFile(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("left", [0, 1, 9, 0.5, 0.99])
def test_half_a_file_is_refused(tmp_path: Path, name: str, left: float) -> None:
    saved(tmp_path / name, {"a": torch.ones(1000)})
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(left if left >= 1 else left * len(data))])
    with pytest.raises(TensorFileError):
        TensorFile(tmp_path / name)


def test_a_file_that_is_cut_short_meanwhile_is_one_error(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pt", {"a": torch.ones(1000)})
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(TensorFileError, match="cut short"):
        file.read("a")
