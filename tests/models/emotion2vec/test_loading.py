from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.loading import load


def opened(folder: Path, **how: Any) -> Any:
    return load(checkpoints.read(folder, name="here"), **how)


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "model.pt", weights_only=True)["model"]
    return state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_checkpoint.write(tmp_path / "c")


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "d2v_model.", "module."])
def test_every_published_nesting_gives_the_same_weights(
    folder: Path, tmp_path: Path, wrapper: str | None, prefix: str
) -> None:
    expected = opened(folder)[0].state_dict()
    state = {f"{prefix}{key.removeprefix('d2v_model.')}": value for key, value in state_of(folder).items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, folder / "model.pt")
    got = opened(folder)[0].state_dict()
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[key], expected[key]) for key in got)


def test_safetensors_give_the_same_weights(folder: Path) -> None:
    expected, head = opened(folder)
    save_file(state_of(folder), folder / "model.safetensors")
    (folder / "model.pt").unlink()
    got, got_head = opened(folder)
    assert all(
        torch.equal(a, b) for a, b in zip(got.state_dict().values(), expected.state_dict().values(), strict=True)
    )
    assert (got_head.weight == head.weight).all()


def test_a_file_of_old_gives_the_same_weights(folder: Path) -> None:
    expected, _ = opened(folder)
    state = {"model": state_of(folder), "epoch": 3}
    torch.save(state, folder / "model.pt", _use_new_zipfile_serialization=False)
    got, _ = opened(folder)
    assert all(
        torch.equal(a, b) for a, b in zip(got.state_dict().values(), expected.state_dict().values(), strict=True)
    )


def test_half_precision_weights_become_float32(folder: Path) -> None:
    torch.save({"model": {key: value.half() for key, value in state_of(folder).items()}}, folder / "model.pt")
    network, _ = opened(folder)
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_a_checkpoint_without_classes_has_no_head(tmp_path: Path) -> None:
    network, head = opened(random_checkpoint.write(tmp_path / "c", labels=None))
    assert head is None
    assert not network.training


def test_tensors_of_pre_training_are_left_out(folder: Path) -> None:
    state = state_of(folder) | {"d2v_model.modality_encoders.AUDIO.decoder.proj.weight": torch.zeros(3, 3)}
    torch.save({"model": state}, folder / "model.pt")
    opened(folder)


def test_a_file_replaced_while_in_use_changes_nothing(folder: Path) -> None:
    network, _ = opened(folder)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    (folder / "model.pt").write_bytes(b"")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class _Trap:
    """Pickles into a call. If it is ever made, the test fails by an exit."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('code from a checkpoint was run')",))


def break_unknown(folder: Path) -> None:
    torch.save({"model": state_of(folder) | {"surprise.weight": torch.zeros(2)}}, folder / "model.pt")


def break_missing(folder: Path) -> None:
    state = state_of(folder)
    state.pop("d2v_model.blocks.1.attn.qkv.weight")
    torch.save({"model": state}, folder / "model.pt")


def break_shape(folder: Path) -> None:
    state = state_of(folder)
    state["proj.weight"] = torch.zeros(5, 48)
    torch.save({"model": state}, folder / "model.pt")


def break_kind(folder: Path) -> None:
    state = state_of(folder)
    state["proj.bias"] = torch.zeros(9, dtype=torch.int64)
    torch.save({"model": state}, folder / "model.pt")


def break_truncated(folder: Path) -> None:
    data = (folder / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(data[: len(data) // 2])


def break_garbage(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"\x00garbage" * 1000)


def break_empty(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"")


def break_code(folder: Path) -> None:
    torch.save({"model": _Trap()}, folder / "model.pt")


def break_old_code(folder: Path) -> None:
    torch.save({"model": _Trap()}, folder / "model.pt", _use_new_zipfile_serialization=False)


def break_list(folder: Path) -> None:
    torch.save([torch.zeros(3)], folder / "model.pt")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (break_unknown, "surprise.weight.*ignore_unknown_tensors=True"),
        (break_missing, "blocks.1.attn.qkv.weight"),
        (break_shape, r"proj.weight has shape \[5, 48\].*\[9, 48\]"),
        (break_kind, "proj.bias holds torch.int64"),
        (break_truncated, "broken|plain file"),
        (break_garbage, "broken|plain file"),
        (break_empty, "broken|plain file"),
        (break_code, "never runs code"),
        (break_old_code, "never runs code"),
        (break_list, "no mapping"),
    ],
)
def test_a_broken_file_is_one_clear_error(folder: Path, damage: Callable[[Path], None], word: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=word) as caught:
        opened(folder)
    assert str(caught.value).startswith("here: ")


def test_unknown_tensors_pass_when_told_so(folder: Path) -> None:
    break_unknown(folder)
    opened(folder, strict=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_repeat_few_numbers_are_refused(folder: Path, zipped: bool) -> None:
    state = {key: value.new_zeros(1).expand(value.shape) for key, value in state_of(folder).items()}
    torch.save({"model": state}, folder / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="more numbers than its storage"):
        opened(folder)
