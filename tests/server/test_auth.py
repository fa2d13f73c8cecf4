"""API keys: known by their hash alone, withdrawn at once, and written nowhere."""

from __future__ import annotations

import hmac
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from overtone.cli.keys import keys as keys_command
from overtone.errors import UsageError
from overtone.server import auth as keys_module
from overtone.server.auth import KEY_PREFIX, Keyring, Owner, add_key, default_path, read_keys, remove_key

app = typer.Typer()
app.add_typer(keys_command, name="keys")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "keys.json"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)])


# The ring.


def test_each_key_is_known_and_no_other(path: Path) -> None:
    made = {name: add_key(path, name, limit_s) for name, limit_s in (("a", None), ("b.c-d_E", 600.0), ("9", 0.5))}
    ring = Keyring.load(path)
    assert len(ring) == 3
    assert len(set(made.values())) == 3
    assert ring.authenticate(made["a"]) == Owner("a", None)
    assert ring.authenticate(made["b.c-d_E"]) == Owner("b.c-d_E", 600.0)
    assert ring.authenticate(made["9"]) == Owner("9", 0.5)
    key = made["a"]
    others = (
        None,
        "",
        KEY_PREFIX,
        key[:-1],
        key + "x",
        key.upper(),
        key.removeprefix(KEY_PREFIX),
        "a",
        key * 9,
        "\udcff",
    )
    for other in others:
        assert ring.authenticate(other) is None


def test_a_key_has_256_bits_that_a_scanner_knows(path: Path) -> None:
    key = add_key(path, "a")
    assert key.startswith("ot_")
    assert len(key) == len("ot_") + 43  # 32 bytes in base64 without padding
    assert key.isascii()


@given(st.text(max_size=200))
def test_an_empty_ring_knows_nobody(key: str) -> None:
    assert Keyring(Path("/no/such/file"), (), ()).authenticate(key) is None


def test_every_hash_is_compared_whichever_fits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [add_key(path, name) for name in "abc"]
    ring = Keyring.load(path)
    compared = []

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return hmac.compare_digest(one, other)

    class Counting:
        digest = staticmethod(hmac.digest)
        compare_digest = staticmethod(counted)

    monkeypatch.setattr(keys_module, "hmac", Counting)
    for key in (*made, "wrong"):
        compared.clear()
        ring.authenticate(key)
        assert len(compared) == 3


def test_equal_keys_have_different_hashes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module.secrets, "token_urlsafe", lambda _: "same")
    assert add_key(path, "a") == add_key(path, "b")
    one, other = read_keys(path)
    assert one.digest != other.digest


# The file.


def test_the_file_is_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        add_key(path, "a")
        assert path.stat().st_mode & 0o777 == 0o600
        path.with_name("keys.json.part").touch(0o666)  # left by a command that was killed
        add_key(path, "b")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(path.parent)) == ["keys.json", "keys.json.lock"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    add_key(path, "a")
    path.chmod(mode)
    for ask in (Keyring.load, read_keys, lambda path: add_key(path, "b"), lambda path: remove_key(path, "a")):
        with pytest.raises(UsageError, match=rf"Run: chmod 600 {path}$"):
            ask(path)


def test_neither_file_nor_logs_nor_repr_nor_errors_hold_a_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = add_key(path, "a")
    ring = Keyring.load(path)
    assert ring.authenticate(key)
    said = [repr(ring), repr(ring.authenticate(key)), repr(vars(ring)), repr(read_keys(path))]
    assert read_keys(path)[0].digest.hex() not in said[-1]
    (path.parent / "copy").write_text(path.read_text(encoding="utf-8"))
    path.write_text("broken", encoding="utf-8")
    ring.authenticate(key)
    for ask in (Keyring.load, lambda path: add_key(path, "a"), lambda path: remove_key(path, "a")):
        with pytest.raises(UsageError) as caught:
            ask(path)
        said.append(str(caught.value))
    said += [caplog.text, *(file.read_text() for file in path.parent.iterdir())]
    assert "no key is valid" in caplog.text
    secret = key.removeprefix(KEY_PREFIX)
    assert not [text for text in said if secret in text]


def test_a_file_read_back_says_the_same(path: Path) -> None:
    add_key(path, "b", 12.5)
    before = read_keys(path)
    add_key(path, "a")
    after = read_keys(path)
    assert [stored.owner.name for stored in after] == ["a", "b"]
    assert after[1:] == before
    assert after[1].made.tzinfo is not None


ENTRY = {"made": "2025-01-02T03:04:05+00:00", "seconds": None, "salt": "00" * 16, "hash": "11" * 32}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no file of keys: Expecting value"),
        (b"\xff\xfe\xfa", "is no file of keys"),
        (b"[" * 100_000, "is no file of keys"),
        (b"[]", "is no file of keys"),
        (b'{"other": 1}', "is no file of keys"),
        (b'{"keys": []}', "is no file of keys"),
        ({"a b": ENTRY}, "'a b' cannot be the name of a key"),
        ({"": ENTRY}, "cannot be the name"),
        ({"a": None}, "the key 'a' cannot be used"),
        ({"a": []}, "the key 'a' cannot be used"),
        ({"a": {}}, "the key 'a' has no 'salt'"),
        ({"a": ENTRY | {"salt": "00"}}, "not the right length"),
        ({"a": ENTRY | {"hash": "zz"}}, "the key 'a' cannot be used"),
        ({"a": ENTRY | {"hash": 5}}, "the key 'a' cannot be used"),
        ({"a": ENTRY | {"seconds": "5"}}, "its seconds are no number"),
        ({"a": ENTRY | {"seconds": True}}, "its seconds are no number"),
        ({"a": ENTRY | {"seconds": 0}}, "above 0"),
        ({"a": ENTRY | {"seconds": float("nan")}}, "above 0"),
        ({"a": ENTRY | {"seconds": 10**400}}, "the key 'a' cannot be used"),
        ({"a": ENTRY | {"made": "yesterday"}}, "the key 'a' cannot be used"),
    ],
)
def test_a_broken_file_is_named(path: Path, content: Any, says: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps({"keys": content}).encode())
    with pytest.raises(UsageError, match=says) as caught:
        Keyring.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "overtone keys add" in str(caught.value)


def test_a_file_that_is_none_is_named_and_nothing_is_made(path: Path) -> None:
    for ask in (Keyring.load, lambda path: remove_key(path, "a")):
        with pytest.raises(UsageError, match="no such file of keys; make one with `overtone keys add NAME`"):
            ask(path)
    assert not path.parent.exists()
    with pytest.raises(UsageError, match="no such file"):
        Keyring.load(path.parent.parent)


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "a\n", "x" * 65, "*"])
def test_names_that_cannot_be(path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a key; use 1 to 64"):
        add_key(path, name)
    assert not path.exists()


@pytest.mark.parametrize("limit_s", [0, -1, float("nan"), float("inf")])
def test_limits_that_cannot_be(path: Path, limit_s: float) -> None:
    with pytest.raises(UsageError, match="lets nothing in"):
        add_key(path, "a", limit_s)


def test_names_are_unique_and_have_to_be_there_to_be_removed(path: Path) -> None:
    key = add_key(path, "a")
    with pytest.raises(UsageError, match="there is a key called a"):
        add_key(path, "a")
    with pytest.raises(UsageError, match="no key called 'b'; there are: a"):
        remove_key(path, "b")
    assert Keyring.load(path).authenticate(key)
    remove_key(path, "a")
    assert len(Keyring.load(path)) == 0
    assert Keyring.load(path).authenticate(key) is None
    with pytest.raises(UsageError, match="there are: none"):
        remove_key(path, "a")


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = add_key(path, "a")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match="No space left"):
            add_key(path, "b")
    assert Keyring.load(path).authenticate(key) == Owner("a", None)
    assert sorted(os.listdir(path.parent)) == ["keys.json", "keys.json.lock"]


def test_commands_at_once_lose_nothing(path: Path) -> None:
    threads = [threading.Thread(target=add_key, args=(path, f"k{i}")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(read_keys(path)) == 8


# A file that changes.


def test_a_change_is_in_force_without_a_restart(path: Path) -> None:
    first = add_key(path, "a")
    ring = Keyring.load(path)
    second = add_key(path, "b")
    assert ring.authenticate(second) == Owner("b", None)
    remove_key(path, "a")
    assert ring.authenticate(first) is None
    assert ring.authenticate(second) == Owner("b", None)


def harmed(path: Path, harm: str) -> None:
    if harm == "gone":
        path.unlink()
    elif harm == "open to others":
        path.chmod(0o644)
    else:
        path.write_bytes({"broken": b"{", "emptied": b"", "half written": path.read_bytes()[:-40]}[harm])


@pytest.mark.parametrize("harm", ["broken", "open to others", "gone", "emptied", "half written"])
def test_a_file_that_cannot_be_used_lets_in_nobody_until_it_is_back(
    path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    key = add_key(path, "a")
    ring, whole = Keyring.load(path), path.read_bytes()
    harmed(path, harm)
    for _ in range(3):
        assert ring.authenticate(key) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count(str(path)) >= 1
    assert "Until then no key is valid." in caplog.text
    path.touch(0o600)
    path.chmod(0o600)
    path.write_bytes(whole)
    for _ in range(3):
        assert ring.authenticate(key) == Owner("a", None)
    assert len(caplog.records) == 2
    assert "keys in it: 1" in caplog.text
    remove_key(path, "a")
    assert ring.authenticate(key) is None
    assert len(caplog.records) == 2


def test_another_fault_of_the_file_is_told_as_well(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = add_key(path, "a")
    ring = Keyring.load(path)
    for harm in ("broken", "gone"):
        harmed(path, harm)
        assert ring.authenticate(key) is None
        assert ring.authenticate(key) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again_though_it_did_not_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add_key(path, "a")
    ring = Keyring.load(path)
    os.utime(path, (1, 1))

    def refused(*_: object) -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", refused)
        assert ring.authenticate(key) is None
    assert ring.authenticate(key) == Owner("a", None)


def test_a_file_that_did_not_change_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = add_key(path, "a")
    ring = Keyring.load(path)
    monkeypatch.setattr(keys_module, "_read", lambda _: pytest.fail("read again"))
    assert ring.authenticate(key)


# The commands.


def test_the_key_alone_is_on_standard_output(path: Path) -> None:
    done = run("add", "a", "--file", path, "--seconds", "90")
    assert done.exit_code == 0
    assert done.stdout.startswith("ot_")
    assert done.stdout.count("\n") == 1
    key = done.stdout.strip()
    assert Keyring.load(path).authenticate(key) == Owner("a", 90.0)
    assert "not shown again" in done.stderr
    assert key not in done.stderr


def test_listing_shows_whose_keys_there_are(path: Path) -> None:
    run("add", "first", "--file", path)
    key = run("add", "second", "--file", path, "--seconds", "12.5").stdout.strip()
    done = run("list", "--file", path)
    assert done.exit_code == 0
    (made,) = {f"{stored.made:%Y-%m-%d}" for stored in read_keys(path)}
    _, first, second = done.stdout.splitlines()
    assert first.split()[:2] == ["first", made]
    assert second.split()[-1] == "12.5"
    assert key not in done.stdout


def test_removing_a_key_by_command(path: Path) -> None:
    key = run("add", "a", "--file", path).stdout.strip()
    ring = Keyring.load(path)
    assert run("remove", "a", "--file", path).exit_code == 0
    assert ring.authenticate(key) is None
    assert isinstance(run("remove", "a", "--file", path).exception, UsageError)


def test_the_file_is_in_the_users_configuration_folder_unless_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module.platformdirs, "user_config_dir", lambda name: str(tmp_path / name))
    assert default_path() == tmp_path / "overtone" / "keys.json"
    key = run("add", "a").stdout.strip()
    assert Keyring.load(default_path()).authenticate(key)
    assert "a" in run("list").stdout
    assert run("remove", "a").exit_code == 0
