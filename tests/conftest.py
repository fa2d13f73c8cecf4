"""What many tests use: small checkpoints, speech-like audio, and a cache of their own."""

from __future__ import annotations

import gc
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overtone import EmotionRecognizer
from overtone.audio import Decoder
from overtone.system.machine import trim_heap

EXAMPLES = Path(__file__).parents[1] / "examples"
CLIPS = Path(__file__).parent / "data"
"""Real audio; its README.md says what it is."""

pytest_plugins = ("outside",)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Files of tests are skipped, saying so, where the package is installed without what only they import."""
    report: Any = yield
    if report.failed and (absent := re.search(r"No module named '(torch|openai|schemathesis)'", str(report.longrepr))):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {absent[1]} is not installed")
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests reaches them, and nothing they keep outlives them."""
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("OVERTONE_"):
            del os.environ[name]
    os.environ["OVERTONE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("settings"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    """What a file's models left behind is given back: budgets are of the whole process, whatever ran before."""
    yield
    gc.collect()
    trim_heap()


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network of random weights and nine classes."""
    pytest.importorskip("torch", reason="PyTorch, which makes the weights, is not installed")
    from overtone.models.emotion2vec import random_checkpoint

    return random_checkpoint.write(tmp_path_factory.mktemp("small") / "checkpoint")


@pytest.fixture(scope="session")
def recognizer(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    """A recogniser on that network, shared: calls change nothing in it."""
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB") as shared:
        yield shared


@pytest.fixture(scope="session")
def data() -> Path:
    """A folder of more real audio, by the names of `CLIPS`; tests that need it are skipped, saying so, without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("more real audio than comes with the tests (../shared/data) is not here")
    return folder


def decoded(path: Path) -> np.ndarray:
    """What Overtone hears in a file. float32 (samples,), 16 kHz."""
    with Decoder(str(path)) as decoder:
        return np.concatenate(list(decoder.blocks()))


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


def voice(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Something like a voice: a buzz with a wandering pitch and syllables. float32 (samples,)."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + random.uniform(0, 6)) + 0.6, 0, None)
    return (0.1 * buzz * syllables + 0.003 * random.standard_normal(len(time))).astype(np.float32)
