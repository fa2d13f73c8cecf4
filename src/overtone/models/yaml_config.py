"""YAML as FunASR reads and writes it, in bounded time and memory: by OmegaConf's rule for numbers, plain values only.

PyYAML takes `1e-05` for text, because YAML 1.1 asks a float for a point; published configs are written so. Of PyYAML
only the parser is used. Values are made here, event by event, and counted as they come, so that too many are refused
before they are there.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from overtone.system.documents import MAX_DEPTH, MAX_DIGITS, DocumentError, check_unicode, shown

MAX_VALUES = 100_000
"""Values in a config, each counted wherever an alias names it. The longest list known, a vocabulary, has 8,404; the
parser takes some 20 µs for one."""

_COUNTED = 32
"""Characters of text that count as one more value, so that aliases cannot multiply a long one."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FLOAT = re.compile(
    r"""
     [-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?   # 1. 0.5 1_000.5 1.5e3
    |[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+                     # 1e5 1e-05 1E-12
    |\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?                    # .5 .5e-3
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN)
    """,
    re.VERBOSE,
)
"""Texts that OmegaConf 2.3 reads as numbers, less those to a base of two, eight, sixteen or sixty: `010` and `1:30`
are likelier to be a name and a time, so they stay text, and where a number is needed it is asked for."""

_WORDS: dict[str, bool | None] = {
    form: value
    for words, value in ((("null",), None), (("yes", "true", "on"), True), (("no", "false", "off"), False))
    for word in words
    for form in (word, word.capitalize(), word.upper())
} | {"~": None, "": None}

_MERGE = "<<"


def read_yaml(text: str) -> Any:
    """The plain value of a text of YAML: mappings, lists, texts, numbers, truth values and None.

    Keys are text, whatever they look like; dates are, too. DocumentError, in one line with the number of the line, for
    text that is not YAML, has a tag, a merge (`<<`), a key twice or no text for a key, holds more than `MAX_VALUES` or
    nests deeper than `MAX_DEPTH`, or has a number of more than `MAX_DIGITS`.
    """
    try:
        return _Values(text).document()
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_at(_cut(error.problem or str(error)), error.problem_mark)) from error
    except yaml.YAMLError as error:
        raise DocumentError(_cut(str(error))) from error
    except Exception as error:  # the parser's own slips, as on the number of a character that there is not
        raise DocumentError(f"PyYAML cannot parse it ({_cut(str(error))})") from error


def _cut(text: str) -> str:
    line = next(iter(text.splitlines()), "")
    return line if len(line) <= 120 else f"{line[:120]}…"


def _at(reason: str, mark: Any) -> str:
    return f"{reason}, line {mark.line + 1}" if mark is not None else reason


def _fault(reason: str, event: Any) -> DocumentError:
    return DocumentError(_at(reason, event.start_mark))


class _Values:
    """Values of one document, made from the parser's events."""

    def __init__(self, text: str) -> None:
        self._events: Any = yaml.SafeLoader(text)
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # value, count, levels
        self._count = 0

    def document(self) -> Any:
        self._events.get_event()  # the stream's start
        if self._events.check_event(yaml.StreamEndEvent):
            return None
        self._events.get_event()  # the document's start
        value, _ = self._value(1)
        self._events.get_event()  # its end
        if not self._events.check_event(yaml.StreamEndEvent):
            raise _fault("it holds another document", self._events.peek_event())
        return value

    def _value(self, depth: int) -> tuple[Any, int]:
        """The next value, at this depth, and the levels within it."""
        event, before = self._events.get_event(), self._count
        if isinstance(event, yaml.AliasEvent):
            return self._named(event, depth)
        self._check(event, depth)
        value: Any
        levels = 0
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not self._events.check_event(yaml.SequenceEndEvent):
                item, below = self._value(depth + 1)
                value.append(item)
                levels = max(levels, below + 1)
            self._events.get_event()
        else:
            value = {}
            while not self._events.check_event(yaml.MappingEndEvent):
                key = self._key(value, depth + 1)
                value[key], below = self._value(depth + 1)
                levels = max(levels, below + 1)
            self._events.get_event()
        self._keep(event, value, self._count - before, levels)
        return value, levels

    def _key(self, mapping: dict[str, Any], depth: int) -> str:
        event, before = self._events.get_event(), self._count
        if not isinstance(event, yaml.ScalarEvent):
            raise _fault("a key is no text", event)
        self._check(event, depth)
        key: str = event.value
        if key == _MERGE and event.style is None:
            raise _fault(f"{_MERGE!r} is not read; write the values out", event)
        if key in mapping:
            raise _fault(f"{shown(key)} is twice", event)
        self._keep(event, key, self._count - before, 0)
        return key

    def _check(self, event: Any, depth: int) -> None:
        """Count an event's value, and refuse one that cannot be."""
        if depth > MAX_DEPTH:
            raise _fault(f"it nests deeper than {MAX_DEPTH} levels", event)
        if event.tag is not None:
            raise _fault(f"the tag {shown(event.tag)} is not read", event)
        self._add(1, event)
        if isinstance(event, yaml.ScalarEvent):
            self._add(len(event.value) // _COUNTED, event)
            try:
                check_unicode(event.value)
            except DocumentError as error:
                raise _fault(str(error), event) from error

    def _add(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise _fault(f"it holds more than {MAX_VALUES:,} values", event)

    def _keep(self, event: Any, value: Any, count: int, levels: int) -> None:
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise _fault(f"the anchor {shown(event.anchor)} is twice", event)
            self._anchors[event.anchor] = value, count, levels

    def _named(self, event: Any, depth: int) -> tuple[Any, int]:
        if event.anchor not in self._anchors:
            raise _fault(f"the alias {shown(event.anchor)} names nothing that ends before it", event)
        value, count, levels = self._anchors[event.anchor]
        if depth + levels > MAX_DEPTH:
            raise _fault(f"it nests deeper than {MAX_DEPTH} levels", event)
        self._add(count, event)
        return value, levels

    @staticmethod
    def _scalar(event: Any) -> Any:
        text: str = event.value
        if event.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        kind = int if _INTEGER.fullmatch(text) else float if _FLOAT.fullmatch(text) else None
        if kind is None:
            return text
        if len(text) > MAX_DIGITS:
            raise _fault(f"a number of {len(text):,} characters is not read", event)
        text = text.replace("_", "")
        # `.inf` and `.nan` are Python's words after a point.
        return kind(text if text[-1].isdigit() or text[-1] == "." else text.replace(".", ""))


class _Dumper(yaml.SafeDumper):
    """Dumper that writes a float as Python does."""


_PREFIX = "tag:yaml.org,2002:"
_Dumper.add_implicit_resolver(
    f"{_PREFIX}float", re.compile(f"(?:{_FLOAT.pattern})$", re.VERBOSE), list("-+.0123456789")
)
_Dumper.add_representer(float, lambda dumper, value: dumper.represent_scalar(f"{_PREFIX}float", _float_text(value)))


def _float_text(value: float) -> str:
    return repr(value) if math.isfinite(value) else {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[repr(value)]


def write_yaml(value: Any) -> str:
    """Plain values as YAML in the way published configs are written: keys in their order, `1e-05` without a point."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)
