"""Imports that go without modules which come along with others and are not wanted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HIDING = threading.RLock()
"""Held while a module is hidden: of two threads that hide it the first would show it again to the second."""


@contextmanager
def hidden_modules(*names: str) -> Iterator[None]:
    """Hide modules while the block runs: imports in it find them not installed, and go without from then on."""
    with _HIDING:
        before = {name: sys.modules.get(name, Ellipsis) for name in names}
        for name in names:
            sys.modules[name] = None  # type: ignore[assignment] # what an import then calls not installed
        try:
            yield
        finally:
            for name, module in before.items():
                if module is Ellipsis:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module
