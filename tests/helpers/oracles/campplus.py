"""CAM++ as it is published, with seeded random weights, and FunASR's own of the same folder."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from helpers.clips import buzz
from helpers.oracles.auto_model import funasr_auto_model

SIZES = {
    "small": {"growth_rate": 4, "bn_size": 2, "init_channels": 16, "embedding_size": 24},
    "published": {"growth_rate": 32, "bn_size": 4, "init_channels": 128, "embedding_size": 192},
}

HEARD = (1.5, 1.5, 1.5, 1.5, 0.1, 0.4, 0.8, 1.2)
"""Seconds of voice in each window that it is made to fit."""

CONFIG = """\
# network architecture
model: CAMPPlus
model_conf:
    feat_dim: 80
    embedding_size: {embedding_size}
    growth_rate: {growth_rate}
    bn_size: {bn_size}
    init_channels: {init_channels}
    config_str: 'batchnorm-relu'
    memory_efficient: True
    output_level: 'segment'

# frontend related
frontend: WavFrontend
frontend_conf:
    fs: 16000
"""

CONFIGURATION = {
    "framework": "pytorch",
    "task": "speaker-verification",
    "model": {
        "type": "cam++-sv",
        "model_config": {"sample_rate": 16000, "fbank_dim": 80, "emb_size": 192},
        "pretrained_model": "campplus_cn_common.bin",
        "yesOrno_thr": 0.31,
    },
    "pipeline": {"type": "speaker-verification"},
    "file_path_metas": {"init_param": "campplus_cn_common.bin", "config": "config.yaml"},
}


def publish(folder: Path, *, seed: int = 0, size: Literal["small", "published"] = "small") -> Path:
    """Write a folder as `iic/speech_campplus_sv_zh-cn_16k-common` is laid out.

    The statistics of its batch normalisations are those of some voices, so that voices do not look all the same to it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from funasr.models.campplus.model import CAMPPlus
        from funasr.models.campplus.utils import extract_feature

        state = torch.random.get_rng_state()
        torch.manual_seed(seed)
        network = CAMPPlus(**SIZES[size], memory_efficient=False)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.momentum = 1.0  # what it sees now is what it will go by
                if module.affine:
                    torch.nn.init.uniform_(module.weight, 0.8, 1.2)
                    torch.nn.init.normal_(module.bias, 0.1, 0.2)
        torch.random.set_rng_state(state)
        # Voices, and windows of which a part is silence, which segments shorter than a window are.
        heard = [
            np.pad(buzz(seconds, seed=i), (0, 24_000 - round(16_000 * seconds))) for i, seconds in enumerate(HEARD)
        ]
        features, _, _ = extract_feature([torch.from_numpy(samples) for samples in heard])
    with torch.no_grad():
        network.train()(features)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG.format(**SIZES[size]), encoding="utf-8")
    (folder / "configuration.json").write_text(json.dumps(CONFIGURATION, indent=4), encoding="utf-8")
    torch.save(network.state_dict(), folder / "campplus_cn_common.bin")
    return folder


def funasr(folder: Path) -> Any:
    """FunASR's `AutoModel` of such a folder."""
    return funasr_auto_model(folder)
