"""A `config.yaml` as FunASR's are written, by hand: blocks, keys in their order, `1e-05` without a point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def as_written(config: Mapping[str, Any]) -> str:
    """The text of such a file."""
    return "\n".join(_lines(config)) + "\n"


def _lines(mapping: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "    ")
        elif isinstance(value, list) and value and all(isinstance(item, str | float | int) for item in value):
            yield f"{indent}{key}:"
            yield from (f"{indent}- {_scalar(item)}" for item in value)
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and value.replace("_", "").replace(".", "").isalnum():
        return value if value[0].isalpha() else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)  # which is YAML, and writes floats as Python does
