"""`overtone models`."""

from __future__ import annotations

import re

import pytest

from overtone.cli.app import run
from overtone.models.hub import PUBLISHED, Hub


def test_models(small_checkpoint, capsys, monkeypatch):
    assert run(["models", "list"]) == 0
    out = capsys.readouterr().out
    for name in ("tiny", "base", "base-finetuned", "plus-seed", "plus-base", "plus-large"):
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    assert run(["models", "info", str(small_checkpoint)]) == 0
    out = capsys.readouterr().out
    assert str(small_checkpoint) in out
    assert "angry, disgusted, fearful" in out
    assert run(["models", "pull", str(small_checkpoint)]) == 0
    assert capsys.readouterr().out == f"{small_checkpoint}\n"
    assert run(["models", "pull", "plus-large"]) == 4
    assert run(["models", "info", "no-such-model"]) == 2
    assert run(["models", "list", "--hub", "elsewhere"]) == 2


@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_in_a_pipe_every_model_is_listed_on_a_line_with_its_whole_id(hub: Hub, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert run(["models", "list", "--hub", hub]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    listed = {line[0]: (line[1], line[3:]) for line in lines[2:]}
    assert listed == {name: (getattr(model, hub), model.about.split()) for name, model in PUBLISHED.items()}
