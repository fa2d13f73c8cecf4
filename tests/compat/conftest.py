"""Small models of random weights, as FunASR publishes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from overtone.engine import device_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder for each kind of model."""
    pytest.importorskip("funasr", reason="funasr, whose classes make the weights, is not installed")
    from helpers.oracles import campplus, ct_transformer, fsmn_vad, paraformer, sense_voice
    from overtone.models.emotion2vec import random_checkpoint

    root = tmp_path_factory.mktemp("compat-models")
    made = {
        "sensevoice": sense_voice.publish(root / "sensevoice"),
        "vad": fsmn_vad.publish(root / "vad"),
        "punc": ct_transformer.publish(root / "punc"),
        "dictionary": ct_transformer.publish(root / "dictionary", dictionary=True),
        "spk": campplus.publish(root / "spk"),
        "plain": paraformer.publish(root / "plain", kind="Paraformer"),
        "bicif": paraformer.publish(root / "bicif", kind="BiCifParaformer"),
        "seaco": paraformer.publish(root / "seaco", kind="SeacoParaformer"),
        "streaming": paraformer.publish(root / "streaming", kind="ParaformerStreaming"),
        "emotion": random_checkpoint.write(root / "emotion", labels=random_checkpoint.LABELS),
    }
    return {name: str(folder) for name, folder in made.items()}


@pytest.fixture(scope="module")
def quickly_loaded() -> Iterator[None]:
    """For files that load many models: what one takes is measured with short noise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("funasr", reason="funasr, which makes the models, is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_model, "_PROBED_S", 8.0)
        yield
