"""Configs read as FunASR reads them, which is by OmegaConf."""

from __future__ import annotations

import json
import math
import re
from importlib.util import find_spec

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from overtone.models.yaml_config import MAX_VALUES, read_yaml, write_yaml
from overtone.system.documents import DocumentError


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-05", 1e-5),
        ("1E-12", 1e-12),
        ("1e5", 1e5),
        ("5e-4", 5e-4),
        ("-1e+3", -1000.0),
        ("1.0e-05", 1e-5),
        (".5", 0.5),
        ("1_000.5", 1000.5),
        (".inf", math.inf),
        ("7", 7),
        ("1e", "1e"),
        ("e5", "e5"),
        ("1e-05s", "1e-05s"),
        ("'1e-05'", "1e-05"),
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01 10:00:00", "2024-05-01 10:00:00"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0b1", "0b1"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("-.inf", -math.inf),
        ("1_000", 1000),
        ("+7", 7),
        ("True", True),
        ("on", True),
        ("NO", False),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("${model_conf.sos}", "${model_conf.sos}"),
    ],
)
def test_a_number_is_one_however_it_is_written(written: str, value: object) -> None:
    found = read_yaml(f"a: {written}")["a"]
    assert found == value
    assert type(found) is type(value)


_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|0x[0-9a-f_]+|[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers of YAML 1.1 to a base of eight, sixteen or sixty."""


@pytest.mark.skipif(find_spec("omegaconf") is None, reason="omegaconf, which comes with funasr, is not installed")
@given(text=st.text(alphabet="0123456789.eE+-_:infaNx~", min_size=1, max_size=9))
@example("1e-05")
@example(".5e3")
@example("1:30.5")
@example("+.inf")
def test_scalars_are_what_omegaconf_takes_them_for(text: str) -> None:
    """OmegaConf comes with FunASR, the oracle."""
    import omegaconf

    if _OTHER_BASE.fullmatch(text):
        assert read_yaml(f"a: {text}")["a"] == text  # and not what OmegaConf makes of it
        return
    try:
        expected = omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(f"a: {text}"))["a"]
    except (yaml.YAMLError, ValueError, TypeError, KeyError):
        with pytest.raises((ValueError, TypeError, KeyError)):
            read_yaml(f"a: {text}")["a"]
        return
    found = read_yaml(f"a: {text}")["a"]
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)  # which tells one NaN and one zero from another


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(value=_PLAIN)
@example({"\x85": "\u2028 a"})
def test_what_is_written_is_read(value: object) -> None:
    assert repr(read_yaml(write_yaml(value))) == repr(value)


def test_floats_are_written_without_a_point() -> None:
    assert write_yaml({"norm_eps": 1e-5, "lr": 2e22}) == "norm_eps: 1e-05\nlr: 2e+22\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: !!float 1", "the tag 'tag:yaml.org,2002:float' is not read, line 1"),
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("a: !mine {b: 1}", "the tag '!mine'"),
        ("!!str a: 1", "tag"),
        ("x: &x {a: 1}\ny: {<<: *x}", "'<<' is not read; write the values out, line 2"),
        ("a: 1\nb: 2\na: 3", "'a' is twice, line 3"),
        ("1: 1\n'1': 2", "'1' is twice, line 2"),
        ("a: [", "line 1"),
        ("a: 1\n---\na: 2", "another document, line 2"),
        ("a:\n  b: " + "9" * 5000, "a number of 5,000 characters is not read, line 2"),
        ("a: 1." + "9" * 5000, "a number of 5,002 characters"),
        ("- " * 3000 + "a", "it nests deeper than 64 levels, line 1"),
        ("[" * 500_000, "it nests deeper than 64 levels, line 1"),
        ("{a: " * 100_000, "it nests deeper than 64 levels, line 1"),
        ("a: \x00", "unacceptable"),
        ('a: "\\ud800"', "half of a character, line 1"),
        ('a: "\\UFFFFFFFF"', "PyYAML cannot parse it"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: 1", "PyYAML cannot parse it .*digits"),
        ("? [1]\n: 2", "a key is no text, line 1"),
        ("a: &a b\n*a : 1", "a key is no text, line 2"),
        ("a: &a [*a]", "the alias 'a' names nothing that ends before it, line 1"),
        ("a: *b", "the alias 'b' names nothing"),
        ("a: &a 1\nb: &a 2", "the anchor 'a' is twice, line 2"),
        ("[" + "a," * 200_000 + "]", "it holds more than 100,000 values, line 1"),
    ],
)
def test_what_is_not_plain_is_refused_in_one_line(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)


def nested(names: int, of: str) -> str:
    """A list of one list, and of each list a list of many of the one before it."""
    lines = [f"- &a0 {of}", *(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]" for n in range(1, names))]
    return "\n".join(lines)


def test_what_aliases_name_is_there_again() -> None:
    assert read_yaml("a: &x {b: [1]}\nc: *x\nd: &y e\nf: [*y, *x]") == {
        "a": {"b": [1]},
        "c": {"b": [1]},
        "d": "e",
        "f": ["e", {"b": [1]}],
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (nested(8, "[b]"), "holds more than 100,000 values, line 5"),
        (nested(4, f"'{'b' * 1000}'"), "holds more than 100,000 values, line 4"),
        (nested(3, f"{'b' * 5000}"), None),
        ("\n".join(["- &a0 [b]", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 70))]), "deeper than 64 levels, line 63"),
    ],
    ids=["values", "text", "few", "levels"],
)
def test_what_aliases_name_counts_wherever_it_is_named(text: str, word: str | None) -> None:
    if word is None:
        assert len(read_yaml(text)) == 3
        return
    with pytest.raises(ValueError, match=word):
        read_yaml(text)


def test_keys_are_text_whatever_they_look_like() -> None:
    text = "1: a\nno: b\n~: c\n2024-05-01: d\n'<<': e\n'': f"
    assert read_yaml(text) == {"1": "a", "no": "b", "~": "c", "2024-05-01": "d", "<<": "e", "": "f"}


def test_a_text_without_quotes_may_be_long() -> None:
    assert read_yaml("a: " + "1:" * 400_000 + "b") == {"a": "1:" * 400_000 + "b"}


def size(value: object) -> int:
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(size, within))


_TOKENS = st.sampled_from(
    ["a", "1", "1e-5", "- ", ": ", "? ", "[", "]", "{", "}", ",", "\n", "\n  ", "&a ", "*a", "<<", "!", "!!str ", "|",
     ">", "'", '"', "#", "%", "---", "...", "\\u", "\t", "\x85", "~", "@", "`", "%YAML 1.1\n", "*b", "&b ", "\\x"]
)  # fmt: skip


@given(st.lists(_TOKENS, max_size=60).map("".join) | st.text(max_size=60))
def test_any_text_is_a_plain_value_or_one_error(text: str) -> None:
    try:
        found = read_yaml(text)
    except DocumentError as error:
        message = str(error)
    else:
        message = ""
        assert size(found) <= MAX_VALUES
        json.dumps(found).encode()
    assert "\n" not in message
    assert len(message) < 300
