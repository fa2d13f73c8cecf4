"""API keys: made once, kept as salted hashes in a file that only its owner can read, withdrawn without a restart.

A key is 256 random bits, so a fast hash is right for it: a slow one protects secrets that can be guessed, and these
cannot, while everybody who sends a wrong key would make the service work. The salt keeps equal keys in two files from
being seen to be equal.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from overtone.errors import UsageError
from overtone.output.formats.output_file import make_parent, map_write_errors, replacing

KEY_PREFIX = "ot_"
"""Prefix of every key, so that scanners for secrets know one where it should not be."""

_KEY_BYTES = 32
_SALT_BYTES = 16
_DIGEST_BYTES = hashlib.sha256().digest_size

_LONGEST = 128
"""Characters. Nothing longer is a key, and no request shall make the service hash it."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

_Stamp = tuple[int, ...]

_LOG = logging.getLogger("overtone")


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner of a key. `limit_s`: seconds of audio that may be under way for it at once; None where it has
    no separate limit."""

    name: str
    limit_s: float | None

    @staticmethod
    def name_of(owner: Owner | None) -> str | None:
        """The name of an owner; None where there are no keys."""
        return None if owner is None else owner.name

    @staticmethod
    def limit_of(owner: Owner | None) -> float | None:
        """The limit of an owner, if it has one."""
        return None if owner is None else owner.limit_s


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The stored form of a key: enough to know it, not enough to have it."""

    owner: Owner
    made: datetime
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def matches(self, key: bytes) -> bool:
        """True if it is this key; takes as long where it is not."""
        return hmac.compare_digest(_digest(self.salt, key), self.digest)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for the file."""
        made = self.made.isoformat(timespec="seconds")
        return {"made": made, "seconds": self.owner.limit_s, "salt": self.salt.hex(), "hash": self.digest.hex()}

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> StoredKey:
        """Read what `as_dict` gave. ValueError, KeyError, TypeError or OverflowError if it is something else."""
        salt, digest = bytes.fromhex(values["salt"]), bytes.fromhex(values["hash"])
        if len(salt) != _SALT_BYTES or len(digest) != _DIGEST_BYTES:
            raise ValueError("its salt or hash has not the right length")
        limit_s = values.get("seconds")
        if isinstance(limit_s, bool) or not isinstance(limit_s, int | float | None):
            raise TypeError("its seconds are no number")
        _check(name, limit_s)
        return cls(Owner(name, limit_s), datetime.fromisoformat(values["made"]), salt, digest)


def default_path() -> Path:
    """`keys.json` in the user's configuration folder."""
    return Path(platformdirs.user_config_dir("overtone")) / "keys.json"


def read_keys(path: Path) -> tuple[StoredKey, ...]:
    """The keys in a file, by name. UsageError names the fault, and the remedy."""
    return _read(path)[0]


def add_key(path: Path, name: str, limit_s: float | None = None) -> str:
    """Make a key, and the file if there is none. The key itself is returned and kept nowhere.

    UsageError where the name is taken or cannot be one, or `limit_s` is no number above 0.
    """
    try:
        _check(name, limit_s)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    with _changing(path):
        kept = read_keys(path) if path.exists() else ()
        if any(stored.owner.name == name for stored in kept):
            raise UsageError(f"{path}: there is a key called {name}; choose another name, or remove that one first.")
        key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        salt = secrets.token_bytes(_SALT_BYTES)
        made = datetime.now(timezone.utc)
        _write(path, [*kept, StoredKey(Owner(name, limit_s), made, salt, _digest(salt, key.encode()))])
    return key


def remove_key(path: Path, name: str) -> None:
    """Withdraw a key. UsageError where there is none of this name."""
    read_keys(path)  # where there is none, nothing is made beside it
    with _changing(path):
        kept = read_keys(path)
        left = [stored for stored in kept if stored.owner.name != name]
        if len(left) == len(kept):
            names = ", ".join(stored.owner.name for stored in kept) or "none"
            raise UsageError(f"{path}: there is no key called {name!r}; there are: {names}.")
        _write(path, left)


class Keyring:
    """The keys of a service, as they are in a file now: it is read again whenever it has changed.

    While the file is missing or cannot be used, no key is valid: one that was withdrawn must not be let in because
    reading failed. That is logged once, and once more when the file can be read again.
    """

    def __init__(self, path: Path, keys: Iterable[StoredKey], stamp: _Stamp) -> None:
        self._path = path
        self._keys = tuple(keys)
        self._stamp: _Stamp | None = stamp
        self._fault: str | None = None
        """The fault of the file, as it was logged; None while there is none."""

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """The keys in a file. UsageError names the fault, and the remedy."""
        return cls(path, *_read(path))

    def __len__(self) -> int:
        return len(self._keys)

    def authenticate(self, key: str | None) -> Owner | None:
        """Owner of a key; None for no key and for an unknown one.

        How long it takes does not depend on which key it is, or on how much of one is right.
        """
        self._refresh()
        if key is None or len(key) > _LONGEST:
            return None
        raw, found = key.encode("utf-8", "backslashreplace"), None
        for stored in self._keys:
            if stored.matches(raw):
                found = stored.owner
        return found

    def _refresh(self) -> None:
        try:
            stamp = _stamp(os.stat(self._path))
        except OSError:
            stamp = None
        # With a fault it is read each time: what was wrong may be over with the same file (no file handle was left).
        if stamp == self._stamp and self._fault is None:
            return
        try:
            self._keys, self._stamp = _read(self._path)
        except UsageError as error:
            self._keys, self._stamp = (), stamp
            if str(error) != self._fault:
                _LOG.warning("%s (Until then no key is valid.)", error)
            self._fault = str(error)
            return
        if self._fault is not None:
            _LOG.warning("%s: is read again; keys in it: %d.", self._path, len(self._keys))
            self._fault = None


def _check(name: str, limit_s: float | None) -> None:
    """ValueError where a key cannot have this name or this limit."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a key; use 1 to 64 letters, digits, '.', '_' and '-'")
    if limit_s is not None and not (math.isfinite(limit_s) and limit_s > 0):
        raise ValueError(f"a limit of {limit_s} seconds lets nothing in; give a number above 0")


def _digest(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


def _stamp(status: os.stat_result) -> _Stamp:
    """Values that change when a file is written or replaced, or its mode is changed."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path) -> tuple[tuple[StoredKey, ...], _Stamp]:
    remedy = "Mend it, or move it away and make keys anew with `overtone keys add`."
    try:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file of keys; make one with `overtone keys add NAME`.")
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise UsageError(
                    f"{path}: others than its owner can read or write it. Run: chmod 600 {shlex.quote(str(path))}"
                )
            values = json.load(file)
        if not isinstance(values, dict) or not isinstance(values.get("keys"), dict):
            raise UsageError(f"{path}: is no file of keys. {remedy}")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is no file of keys: {error}. {remedy}") from error
    return tuple(_stored(path, name, entry, remedy) for name, entry in sorted(values["keys"].items())), _stamp(status)


def _stored(path: Path, name: str, entry: Any, remedy: str) -> StoredKey:
    try:
        return StoredKey.from_dict(name, entry)
    except KeyError as error:
        raise UsageError(f"{path}: the key {name!r} has no {error}. {remedy}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{path}: the key {name!r} cannot be used: {error}. {remedy}") from error


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """One change at a time, or a key that is being withdrawn could be written back by another command."""
    with map_write_errors(str(path)):
        make_parent(str(path))
        with FileLock(f"{path}.lock", mode=0o600):
            yield


def _write(path: Path, keys: Iterable[StoredKey]) -> None:
    values = {"keys": {stored.owner.name: stored.as_dict() for stored in keys}}
    with replacing(str(path), mode=0o600, sync=True) as file:
        file.write(json.dumps(values, indent=2).encode() + b"\n")
