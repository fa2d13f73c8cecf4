"""`overtone models`."""

from __future__ import annotations

import re

from overtone.cli.app import run


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
