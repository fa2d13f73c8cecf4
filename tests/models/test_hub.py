"""Models of the hubs: what is said where they cannot be fetched."""

from __future__ import annotations

import pytest

from overtone.errors import DownloadError
from overtone.models import hub


def test_what_a_hub_says_is_cut_at_a_word_and_the_remedy_is_not_of_the_command_line_alone(monkeypatch):
    def refuse(*_: object, **__: object) -> str:
        raise RuntimeError("unreachable " * 50 + "\nand a second line")

    monkeypatch.setattr(hub, "_hugging_face_client", lambda: refuse)
    with pytest.raises(DownloadError) as refused:
        hub.fetch("owner/name", ["config.yaml"], hub="hf", download=True)
    said = str(refused.value)
    reason = said.partition("(")[2].partition(")")[0]
    assert {*reason.removeprefix("RuntimeError: ").split()} == {"unreachable", "…"}
    assert 280 < len(reason) <= 300
    assert "second line" not in said
    assert said.endswith("and give its path as the model.")
