"""Values of configs from strangers: what is read, what is refused, and in which words."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader
from overtone.system.documents import shown

INTEGER = "here: some_conf.key is {}, not a number of at least 1."
NUMBER = "here: some_conf.key is {}, not a number of 0 or more."

NOT_INTEGERS = [10**400, 10**5000, None, True, False, 1.0, math.nan, math.inf, -math.inf, "4", "", [], {}]
NOT_NUMBERS = [None, True, False, math.nan, math.inf, -math.inf, -1, -0.5, 1e6, 10**400, 10**5000, "0.5", "", [], {}]


def section(**values: Any) -> ConfigReader:
    return ConfigReader(values, "here", "some_conf")


def refusal(read: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("values", [None, [], "text", 3, True, [("key", 1)]])
def test_what_is_no_mapping_is_refused(values: Any) -> None:
    assert refusal(ConfigReader, values, "here", "some_conf") == ("here: some_conf in config.yaml is not a mapping.")
    assert refusal(ConfigReader, values, "here") == "here: config.yaml is not a mapping."
    assert refusal(ConfigReader, values, "here", "some_conf", no_mapping="no {mapping}.") == ("here: no {mapping}.")


def test_any_mapping_is_read() -> None:
    assert ConfigReader(OrderedDict(key=3), "here").integer("key") == 3


def test_a_value_as_it_stands_is_of_any_type() -> None:
    assert section(key=[1]).get("key", 5) == [1]
    assert section(key=None).get("key", 5) is None
    assert (section().get("key", 5), section().get("key")) == (5, None)


def test_a_missing_integer_is_the_default_and_a_null_is_not() -> None:
    assert section().integer("key", 7) == 7
    assert refusal(section().integer, "key") == INTEGER.format(None)
    assert refusal(section(key=None).integer, "key", 7) == INTEGER.format(None)


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=lambda value: shown(value)[:20])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    assert refusal(section(key=value).integer, "key", 7) == INTEGER.format(shown(value))


@given(st.integers(-3, 300), st.integers(-2, 3), st.integers(4, 256))
def test_an_integer_lies_within_its_range_ends_included(value: int, least: int, most: int) -> None:
    reader = section(key=value)
    if least <= value <= most:
        assert reader.integer("key", least=least, most=most) == value
    else:
        told = refusal(reader.integer, "key", least=least, most=most)
        assert told == f"here: some_conf.key is {value}, not a number from {least} to {most}."


@pytest.mark.parametrize(("options", "limit"), [({}, 1 << 16), ({"largest": 1 << 20}, 1 << 20)])
def test_an_integer_without_a_limit_has_that_of_its_reader(options: dict[str, Any], limit: int) -> None:
    reader = ConfigReader({"most": limit, "more": limit + 1, "huge": 10**400}, "here", "some_conf", **options)
    assert reader.integer("most") == limit
    for key in ("more", "huge"):
        told = refusal(reader.integer, key, least=0)
        assert told.endswith(", not a number of at least 0.")
    assert reader.integer("more", most=limit + 1) == limit + 1


def test_a_caller_words_the_range() -> None:
    told = refusal(section(key=0).integer, "key", meant="a number from 1 on")
    assert told == "here: some_conf.key is 0, not a number from 1 on."


@pytest.mark.parametrize("value", [0, 0.0, 1, 0.45, 999_999.5])
def test_a_number_is_a_float(value: float) -> None:
    found = section(key=value).number("key")
    assert (found, type(found)) == (value, float)


def test_a_missing_number_is_the_default() -> None:
    assert section().number("key", 0.25) == 0.25
    assert refusal(section().number, "key") == NUMBER.format(None)


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: shown(value)[:20])
def test_what_is_no_number_is_refused(value: Any) -> None:
    assert refusal(section(key=value).number, "key", 1.0) == NUMBER.format(shown(value))


TYPED: list[tuple[Any, Any, str]] = [
    (int, 4, "int"),
    (str, "text", "str"),
    (bool, False, "bool"),
    (dict, {"a": 1}, "dict"),
    ((int, float), 4, "number"),
    ((int, float), math.inf, "number"),
]


@pytest.mark.parametrize(("kind", "value", "meant"), TYPED)
def test_a_value_of_a_type_is_read_and_any_other_refused(kind: Any, value: Any, meant: str) -> None:
    assert section(key=value).typed("key", kind) == value
    assert section().typed("key", kind, value) == value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    for other in (None, True, 1, 0.5, "4", [], {}):
        if type(other) not in kinds:
            told = refusal(section(key=other).typed, "key", kind, value)
            assert told == f"here: some_conf.key is {other!r}, not {meant}."


def test_the_message_on_types_and_ranges_is_the_callers() -> None:
    reader = ConfigReader({"key": "{found}"}, "{name}", "some_conf", wrong="{key} ({meant}) and {found}?")
    assert refusal(reader.typed, "key", int) == "{name}: some_conf.key (int) and '{found}'?"
    assert refusal(reader.integer, "key") == "{name}: some_conf.key (a number of at least 1) and '{found}'?"
    assert refusal(reader.number, "key") == "{name}: some_conf.key (a number of 0 or more) and '{found}'?"


def test_only_what_is_known_is_let_through() -> None:
    reader = section(key="one", null=None)
    reader.only("key", "one")
    reader.only("key", "two", "one")
    reader.only("null", [], None)
    assert refusal(reader.only, "key", "two", "three") == "here: some_conf.key is 'one'; only 'two' is known."
    assert refusal(reader.only, "null", True) == "here: some_conf.null is None; only True is known."


@pytest.mark.parametrize(("value", "known"), [(True, 1), (True, 1.0), (False, 0), (1, True), (0, False)])
def test_a_truth_value_is_no_number(value: Any, known: Any) -> None:
    assert refusal(section(key=value).only, "key", known) == (f"here: some_conf.key is {value}; only {known} is known.")


@given(st.integers(-3, 300) | st.floats(-3, 300), st.integers(-2, 3), st.floats(4, 256))
def test_a_number_lies_within_its_range_ends_included(value: float, least: int, most: float) -> None:
    reader = section(key=value)
    if least <= value <= most:
        assert reader.number("key", least=least, most=most) == value
    else:
        told = refusal(reader.number, "key", least=least, most=most)
        assert told == f"here: some_conf.key is {value}, not a number from {least} to {most:g}."
        assert refusal(reader.number, "key", least=least, most=most, meant="less") == (
            f"here: some_conf.key is {value}, not less."
        )


def test_a_missing_key_stands_for_the_first_value_known_or_another() -> None:
    reader = section()
    reader.only("key", "one", "two")
    reader.only("key", 256, absent=256)
    reader.only("key", None, absent=None)
    assert refusal(reader.only, "key", 512, absent=256) == "here: some_conf.key is 256; only 512 is known."
    assert refusal(reader.only, "key", "one", absent=None) == "here: some_conf.key is None; only 'one' is known."


def test_a_key_of_the_whole_file_is_named_as_such() -> None:
    whole = ConfigReader({"encoder": "RNN"}, "here")
    assert refusal(whole.only, "encoder", "FSMN") == ("here: encoder in config.yaml is 'RNN'; only 'FSMN' is known.")
    assert str(whole.error("encoder", "RNN", ", and odd.")) == "here: encoder in config.yaml is 'RNN', and odd."
    assert str(section().error("key", "{x}", "; no.")) == "here: some_conf.key is '{x}'; no."
