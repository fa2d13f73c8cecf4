"""YAML as FunASR reads and writes it: by OmegaConf's rule for numbers, and plain values only.

PyYAML takes `1e-05` for text, because YAML 1.1 asks a float for a point; published configs are written so.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

_FLOAT = re.compile(
    r"""(?:
     [-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?   # 1. 0.5 1_000.5 1.5e3
    |[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+                     # 1e5 1e-05 1E-12
    |\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?                    # .5 .5e-3
    |[-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*          # 1:30.5, to the base of sixty
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN)
    )$""",
    re.VERBOSE,
)
"""Texts that OmegaConf 2.3 reads as floats."""

_MAX_PLAIN = 4000
"""Characters of a value without quotes. A possible number is made one, in time that grows with their square."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int")
_MERGE = "<<"


class _Loader(yaml.SafeLoader):
    """Loader of mappings, lists and scalars. Dates stay text; tags, merges and repeated keys are refused."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # PyYAML's own attribute
        first: [(tag, rule) for tag, rule in rules if tag.removeprefix(_PREFIX) in _SCALARS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        reason = ""
        if (tag := getattr(event, "tag", None)) is not None:
            reason = f"the tag {tag!r} is not read"
        elif isinstance(event, yaml.ScalarEvent) and event.style is None and len(event.value) > _MAX_PLAIN:
            reason = f"a value of {len(event.value)} characters is not read without quotes"
        if reason:
            raise yaml.composer.ComposerError(None, None, reason, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value == _MERGE and key.style is None:
                raise yaml.constructor.ConstructorError(None, None, f"{_MERGE!r} is not read", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    f"{_PREFIX}float", re.compile(f"(?:{_FLOAT.pattern})$", re.VERBOSE), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """The plain value of a text of YAML. ValueError, in one line, for text that is not YAML or not plain."""
    try:
        return yaml.load(text, _Loader)  # which makes plain values alone
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem or error}{where}") from error
    except (yaml.YAMLError, RecursionError, ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


class _Dumper(yaml.SafeDumper):
    """Dumper that writes a float as Python does."""


_Dumper.add_implicit_resolver(f"{_PREFIX}float", _FLOAT, list("-+.0123456789"))
_Dumper.add_representer(float, lambda dumper, value: dumper.represent_scalar(f"{_PREFIX}float", _float_text(value)))


def _float_text(value: float) -> str:
    return repr(value) if math.isfinite(value) else {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[repr(value)]


def write_yaml(value: Any) -> str:
    """Plain values as YAML in the way published configs are written: keys in their order, `1e-05` without a point."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)
