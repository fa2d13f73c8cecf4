"""FunASR's own `AutoModel`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest


def funasr_auto_model(folder: Path) -> Any:
    """FunASR's own `AutoModel` of a folder, the oracle; the test is skipped where FunASR is not installed."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        funasr = pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")
        threads = torch.get_num_threads()
        model = funasr.AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu")
        torch.set_num_threads(threads)  # FunASR sets it to 4
        return model
