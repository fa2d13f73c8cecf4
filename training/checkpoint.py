"""Writes a trained classifier as a folder in the layout of FunASR's published emotion2vec checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from training.data import TOKENS
from training.fit import Classifier

_CONFIGURATION = {
    "framework": "pytorch",
    "task": "emotion-recognition",
    "model": {"type": "funasr"},
    "pipeline": {"type": "funasr-pipeline"},
    "model_name_in_hub": {},
    "file_path_metas": {
        "init_param": "model.pt",
        "tokenizer_conf": {"token_list": "tokens.txt"},
        "config": "config.yaml",
    },
}

_LICENSE = """\
MIT License

Copyright (c) 2026 the Overtone authors

Permission is hereby granted, free of charge, to any person obtaining a copy of these model weights and associated
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use,
copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to
whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of
the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS
OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

Training data
-------------

Emotion labels: the Berlin Database of Emotional Speech, CC0 1.0 as published by audEERING. Please cite
  F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier, B. Weiss:
  A Database of German Emotional Speech. Interspeech 2005, pp. 1517-1520.
Unlabelled speech for the front end: recordings in the public domain (LibriVox; LJ Speech; J. F. Kennedy's
inaugural address). No recording is contained in these files.
"""


def write_checkpoint(model: Classifier, settings: dict[str, Any], temperature: float, folder: Path) -> None:
    """Write config.yaml, model.pt, tokens.txt, configuration.json and LICENSE.

    The temperature is folded into the classifier, so that its softmax is calibrated as it stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().float().clone() for key, value in model.net.state_dict().items()}
    weights["proj.weight"] = model.proj.weight.detach().float() / temperature
    weights["proj.bias"] = model.proj.bias.detach().float() / temperature
    torch.save({"model": weights}, folder / "model.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / "tokens.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    (folder / "configuration.json").write_text(json.dumps(_CONFIGURATION, indent=2) + "\n", encoding="utf-8")
    (folder / "LICENSE").write_text(_LICENSE, encoding="utf-8")
