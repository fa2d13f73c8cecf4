"""Names of output files made from the names of inputs: one path component, safe to write anywhere."""

from __future__ import annotations

import os
from pathlib import PurePath

from overtone.results import Result

MAX_NAME_BYTES = 180
"""File systems allow 255; the rest is for `-2`, a hash, an ending and `.part`."""

_NOT_IN_NAMES = frozenset('/\\:*?"<>|')


def source_name(result: Result) -> str:
    """The name for an input: its id, else the stem of its source; the same for all its channels.

    Never empty, hidden, or more than one path component; always valid UTF-8.
    """
    return _safe(result.id if result.id is not None else _stem(result.source))


def base_name(result: Result) -> str:
    """The name for `result`'s files, without ending: the input's, then `.ch0` for a channel."""
    return source_name(result) + _channel(result)


class OutputNames:
    """Names for the files of results, none twice: `call`, then `call-2` for the second input of that name.

    A result of the same source, id and channel gets the same name again.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._given: dict[tuple[str, str | None, int | None], str] = {}

    def reserve(self, source: str, utt_id: str | None) -> str:
        """The name of an input before there is a result of it: `of_source` will give the same."""
        name = _safe(_stem(source) if utt_id is None else utt_id).replace(" ", "_")
        return self._unique((source, utt_id, None), name)

    def claim(self, result: Result) -> str:
        """The name for the result's files, without ending."""
        return self._unique((result.source, result.id, result.channel), base_name(result))

    def of_source(self, result: Result) -> str:
        """The name of the result's input, without blanks; its channels share it."""
        return self.reserve(result.source, result.id)

    def _unique(self, key: tuple[str, str | None, int | None], base: str) -> str:
        if key not in self._given:
            name, count = base, 1
            # Case apart is not enough: many file systems ignore it.
            while name.casefold() in self._taken:
                count += 1
                name = f"{base}-{count}"
            self._taken.add(name.casefold())
            self._given[key] = name
        return self._given[key]


def _channel(result: Result) -> str:
    return "" if result.channel is None else f".ch{result.channel}"


def _stem(source: str) -> str:
    if source == "-":
        return "stdin"
    if "://" in source:
        source = source.split("?", 1)[0].split("#", 1)[0]
    return PurePath(source).stem


def _safe(name: str) -> str:
    # Lone surrogates are not printable, so what is left can be encoded.
    name = "".join(c if c.isprintable() and c not in _NOT_IN_NAMES else "_" for c in name)
    name = name.lstrip(". ").rstrip(". ")
    while len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = name[:-1]
    return name or "audio"
