"""`overtone models`."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from helpers.paths import ROOT
from overtone.cli import console
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


@pytest.mark.parametrize("width", [30, 60, 100])
def test_on_a_narrow_terminal_every_id_is_whole(width: int, capsys, monkeypatch):
    terminal = Console(force_terminal=True, width=width, color_system=None, highlight=False, emoji=False)
    monkeypatch.setattr(console, "out", terminal)
    assert run(["models", "list"]) == 0
    out = capsys.readouterr().out
    for name, model in PUBLISHED.items():
        assert re.search(rf"^{re.escape(name)} +{re.escape(model.hf)} ", out, re.MULTILINE)


@pytest.mark.parametrize("hub", ["hf", "ms"])
@pytest.mark.parametrize("name", [*PUBLISHED])
def test_what_is_not_here_is_described_with_the_way_to_get_it(name: str, hub: Hub, capsys):
    assert run(["models", "info", name, "--hub", hub]) == 0
    out = capsys.readouterr().out
    assert getattr(PUBLISHED[name], hub) in out
    assert re.search(rf"^here .*overtone models pull {re.escape(name)}( --hub ms)?$", out, re.MULTILINE)
    assert re.search(r"^size +(not counted|[\d.]+ million numbers: .+ in fp32, .+ in int8); ", out, re.MULTILINE)
    assert re.search(r"^license +\S", out, re.MULTILINE)


def test_of_an_unknown_repository_no_more_is_known_than_the_way_to_get_it(capsys):
    assert run(["models", "info", "some/body"]) == 4
    err = capsys.readouterr().err
    assert "some/body is not on this machine" in err
    assert "overtone models pull some/body" in err


def test_sizes_are_those_of_the_page_on_models():
    page = (ROOT / "docs" / "models.md").read_text()
    for name, model in PUBLISHED.items():
        counted = "not counted" if model.millions is None else f"{model.millions:g} million"
        assert re.search(rf"^\| `{re.escape(name)}` \|.*\| {re.escape(counted)} \|", page, re.MULTILINE), name
