"""Values of options out of their range, as messages show them."""

import re

import pytest

from overtone.errors import UsageError
from overtone.options.emotion import Options
from overtone.system.documents import shown


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**400])
def test_a_whole_number_of_any_size_is_refused_by_its_name(threads: int) -> None:
    with pytest.raises(UsageError, match=rf"^threads is {re.escape(shown(threads))}; 1 to 1024 is possible.$"):
        Options(threads=threads)


@pytest.mark.parametrize("value", [1e308, float("inf"), -1.0])
def test_a_number_of_any_size_is_refused_by_its_name(value: float) -> None:
    with pytest.raises(UsageError, match=r"^max_segment is .*; 1 to 600 is possible.$"):
        Options(max_segment=value)
