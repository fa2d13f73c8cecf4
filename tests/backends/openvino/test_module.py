"""OpenVINO as it is imported: without its converter, until somebody wants it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_IMPORTS = """
import sys
from overtone.backends.openvino.module import openvino, openvino_core
openvino_core()
assert "openvino.tools.ovc" not in sys.modules and "openvino_telemetry" not in sys.modules
import openvino as theirs
from openvino import convert_model
assert theirs is openvino() and theirs.convert_model is convert_model
assert "openvino.tools.ovc" in sys.modules and "openvino_telemetry" not in sys.modules
try:
    theirs.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError("an attribute that is not there")
"""

_IMPORTED_BEFORE = """
import openvino as theirs
convert_model = theirs.convert_model
from overtone.backends.openvino.module import openvino
assert openvino().convert_model is convert_model
assert not hasattr(theirs, "nothing")
"""


_NO_CONVERTER = """
from overtone.backends.openvino.module import openvino
sys.modules["openvino.tools.ovc"] = None  # as where it is not installed
assert not hasattr(openvino(), "convert_model")
"""


@pytest.mark.process
@pytest.mark.parametrize(
    "code", [_IMPORTS, _IMPORTED_BEFORE, _NO_CONVERTER], ids=["ours first", "theirs first", "none"]
)
def test_the_converter_is_imported_when_it_is_used(code: str) -> None:
    code = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n{code}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
