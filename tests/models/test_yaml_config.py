"""Configs read as FunASR reads them, which is by OmegaConf."""

from __future__ import annotations

import math
from importlib.util import find_spec

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from overtone.models.yaml_config import read_yaml, write_yaml


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
        ("True", True),
        ("null", None),
        ("~", None),
        ("${model_conf.sos}", "${model_conf.sos}"),
    ],
)
def test_a_number_is_one_however_it_is_written(written: str, value: object) -> None:
    found = read_yaml(f"a: {written}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.skipif(find_spec("omegaconf") is None, reason="omegaconf, which comes with funasr, is not installed")
@given(text=st.text(alphabet="0123456789.eE+-_:infaNx~", min_size=1, max_size=9))
@example("1e-05")
@example(".5e3")
@example("1:30.5")
@example("+.inf")
def test_scalars_are_what_omegaconf_takes_them_for(text: str) -> None:
    """OmegaConf comes with FunASR, the oracle."""
    import omegaconf

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
        ("a: !mine {b: 1}", "tag '!mine'"),
        ("x: &x {a: 1}\ny: {<<: *x}", "'<<' is not read, line 2"),
        ("a: 1\nb: 2\na: 3", "'a' is twice, line 3"),
        ("a: [", "line 1"),
        ("a: 1\n---\na: 2", "another document"),
        ("a: " + "9" * 5000, "not read without quotes"),
        ("a: 0x_", "invalid"),
        ("- " * 3000 + "a", "recursion"),
        ("a: \x00", "unacceptable"),
        ("a: 1" + ":1" * 1900 + ".5", "too large"),
        ("a: 1" + ":1" * 400_000, "not read without quotes, line 1"),
        ("? [1]\n: 2", "unhashable"),
    ],
)
def test_what_is_not_plain_is_refused_in_one_line(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)
