"""Who is let in: a key by its name, until it is withdrawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from overtone.errors import RefusedError
from overtone.server.auth import Keyring, add_key, remove_key
from overtone.server.ui.door import Door


def test_a_key_opens_the_door_by_its_name_until_it_is_withdrawn(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, other = add_key(path, "anna", 60.0), add_key(path, "bob")
    door = Door(Keyring.load(path))
    assert door.locked
    assert not door.open("bob", key)
    assert not door.open("anna", other)
    assert not door.open("anna", "")
    with pytest.raises(RefusedError):
        door.owner("anna")
    assert door.open("anna", f" {key}\n")
    owner = door.owner("anna")
    assert owner is not None
    assert (owner.name, owner.limit_s) == ("anna", 60.0)
    for nobody in ("bob", None, ""):
        with pytest.raises(RefusedError):
            door.owner(nobody)
    remove_key(path, "anna")
    with pytest.raises(RefusedError) as caught:
        door.owner("anna")
    assert caught.value.code == "unauthorized"


def test_without_keys_the_door_is_open() -> None:
    door = Door(None)
    assert not door.locked
    assert door.owner("anybody") is None
    assert not door.open("anybody", "key")
