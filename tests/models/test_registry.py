"""Which networks are known, and for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.registry import families, task_of


@pytest.mark.parametrize(
    "kind", [kind for kind, family in families().items() if family.role in ("vad", "punctuation", "live")]
)
def test_what_hears_no_segments_is_no_task(kind: str) -> None:
    model = Checkpoint("model", Path(), {"model": kind}, None, Path("model.pt"))
    with pytest.raises(CheckpointError, match=rf"model: is a model for .* \({kind}\); speech recognition takes"):
        task_of(model)


def test_an_unknown_network_is_no_task() -> None:
    with pytest.raises(CheckpointError, match="'Whisper', which Overtone does not run"):
        task_of(Checkpoint("model", Path(), {"model": "Whisper"}, None, Path("model.pt")))
