"""Keys that answers are kept under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from overtone import __version__


def key_of(content_digest: str, model_digest: str, options: Mapping[str, object], namespace: str | None = None) -> str:
    """SHA-256, in hex, over this version of Overtone, the namespace, the audio, the model and the options in whatever
    order.

    Requests of different namespaces never have the same key, so they neither find nor join each other's answers; None
    is the one that all share. They are one array of canonical JSON, so no two different requests run together into the
    same text. The version is in it because a Redis outlives the service that filled it. TypeError or ValueError for
    options that JSON cannot tell apart: other objects, names that are not strings, numbers that are not finite.
    """
    request = [__version__, namespace, content_digest, model_digest, _plain(options)]
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: object) -> object:
    """The value in JSON's own types."""
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("the names of options are strings, as JSON makes strings of all others")
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
