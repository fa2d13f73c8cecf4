"""Nothing is lost of jobs whose service is killed while it takes in, decodes, runs, writes and deletes."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from helpers.paths import BENCH


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not BENCH.is_dir():
        pytest.skip("bench/ does not come with the package")
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("kills")


@pytest.mark.slow
def test_a_service_that_is_killed_again_and_again_loses_nothing(
    kills: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kills.main(["--kills", "4", "--files", "8"]) == 0, capsys.readouterr().out


def test_records_that_say_something_else_differ(kills: ModuleType) -> None:
    record = {"source": "a.wav", "scores": {"sad": 0.5}, "segments": [{"start": 0.0}], "timings": {"run_s": 1.0}}
    assert not kills.differs(record, {**record, "timings": {}, "scores": {"sad": 0.500001}})
    for other in (
        {"scores": {"sad": 0.51}},
        {"scores": {"sad": None}},
        {"segments": []},
        {"error": None},
        {"source": "b.wav"},
    ):
        assert kills.differs(record, {**record, **other})
