"""Who may use the page: everybody, or, where the service has keys, whoever has the name of one and the key."""

from __future__ import annotations

from overtone.errors import RefusedError
from overtone.server.auth import Keyring, Owner


class Door:
    """Lets in by name and key, and knows afterwards whose name it is. A key that is withdrawn lets nobody in again."""

    def __init__(self, keyring: Keyring | None) -> None:
        self._keyring = keyring
        self._keys: dict[str, str] = {}  # of those who signed in, so that they can be asked again

    @property
    def locked(self) -> bool:
        """Whether a key is needed."""
        return self._keyring is not None

    def open(self, name: str, key: str) -> bool:
        """Whether the key is that of the name. Remembers those that are."""
        owner = None if self._keyring is None else self._keyring.authenticate(key.strip())
        if owner is None or owner.name != name:
            return False
        self._keys[name] = key.strip()
        return True

    def owner(self, name: str | None) -> Owner | None:
        """Whose name it is; None where no key is needed. RefusedError (unauthorized) where it is nobody's now."""
        if self._keyring is None:
            return None
        owner = self._keyring.authenticate(self._keys.get(name or ""))
        if owner is None or owner.name != name:
            raise RefusedError("the key is not valid any more; sign in again.", code="unauthorized")
        return owner
