"""A CT-Transformer as FunASR publishes it, with made-up words and random weights, and FunASR's own run of it."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.oracles.auto_model import funasr_auto_model
from helpers.oracles.config import as_written

MARKS = ("<unk>", "_", "，", "。", "？", "、")
_RATES = {"，": 0.08, "。": 0.05, "？": 0.02, "、": 0.02}
"""How often marks are to follow a word, some as in print."""

_DIMS = {
    "small": {"dim": 32, "heads": 4, "units": 64, "blocks": 2, "kernel": 11},
    "published": {"dim": 256, "heads": 8, "units": 1024, "blocks": 4, "kernel": 11},
    "large": {"dim": 516, "heads": 12, "units": 2048, "blocks": 12, "kernel": 11},
}
_WORDS = {"small": 500, "published": 272727, "large": 471067}

ENGLISH = re.findall(
    r"\S+",
    "the of and to in is that it was for on are with as his they be at one have this from or had by hot but some what "
    "there we can out other were all your when up use word how said an each she which do their time if will way about "
    "many then them would write like so these her long make thing see him two has look more day could go come did my "
    "no most number who over know water than call first people may down side been now find i'm don't it's ok hello",
)
CHINESE = "".join(chr(0x4E00 + 7 * at) for at in range(300))
"""Characters that the vocabulary has."""


def vocabulary(size: str) -> list[str]:
    """Specials, English, characters and words of them, and fillers."""
    words = ["<unk>", *ENGLISH, *CHINESE, *(CHINESE[at : at + 2] for at in range(0, 60, 3))]
    return words + [f"word{at}" for at in range(_WORDS[size] - len(words))]


def text(count: int, *, seed: int = 0, english: float = 0.3) -> str:
    """So many made-up pieces, this share of them English, with blanks between some; some are not in the vocabulary."""
    random = np.random.default_rng(seed)
    words = []
    for _ in range(count):
        if random.random() < english:
            word = str(random.choice([*ENGLISH, "iPhone", "USA", "x2", "3.5", "42"]))
            words.append(f" {word} ")
        else:
            known = random.random() < 0.9
            word = str(random.choice(list(CHINESE))) if known else chr(0x4E00 + int(random.integers(0, 2200)))
            words.append(word + (" " if random.random() < 0.1 else ""))
    return "".join(words)


def publish(folder: Path, *, seed: int = 0, size: str = "small", never: str = "", dictionary: bool = False) -> Path:
    """Write a folder laid out as the published ones are. never: marks that do not occur. dictionary: as the large one,
    which cuts Chinese into words."""
    from funasr.models.ct_transformer.model import CTTransformer
    from funasr.models.sanm.encoder import SANMEncoder  # noqa: F401  # registers itself

    dims = _DIMS[size]
    words = vocabulary(size)
    config: dict[str, Any] = {
        "model": "CTTransformer",
        "model_conf": {
            "ignore_id": 0,
            "embed_unit": dims["dim"],
            "att_unit": dims["dim"],
            "dropout_rate": 0.1,
            "punc_list": list(MARKS),
            "punc_weight": [1.0] * len(MARKS),
            "sentence_end_id": 3,
        },
        "encoder": "SANMEncoder",
        "encoder_conf": {
            "input_size": dims["dim"],
            "output_size": dims["dim"],
            "attention_heads": dims["heads"],
            "linear_units": dims["units"],
            "num_blocks": dims["blocks"],
            "dropout_rate": 0.1,
            "positional_dropout_rate": 0.1,
            "attention_dropout_rate": 0.0,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "kernel_size": dims["kernel"],
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
            "padding_idx": 0,
        },
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>"},
    }
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.manual_seed(seed)
    encoder_conf = {key: value for key, value in config["encoder_conf"].items() if key != "pos_enc_class"}
    network = CTTransformer(
        encoder="SANMEncoder", encoder_conf=encoder_conf, vocab_size=len(words), **config["model_conf"]
    )
    _settle_rates(network.eval(), words, never)
    torch.random.set_rng_state(state)
    torch.set_num_threads(threads)
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "model.pt")
    (folder / "config.yaml").write_text(as_written(config), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    metas: dict[str, Any] = {
        "init_param": "model.pt",
        "tokenizer_conf": {"token_list": "tokens.json"},
        "config": "config.yaml",
    }
    if dictionary:
        lines = [CHINESE[at : at + 3] for at in range(0, 60, 5)] + [CHINESE[:4] + " 9 n", "T恤 5", "3D打印"]
        (folder / "jieba_usr_dict").write_text("\n".join(lines) + "\n", encoding="utf-8")
        metas["jieba_usr_dict"] = "jieba_usr_dict"
    said = {"framework": "pytorch", "task": "punctuation", "model": {"type": "pytorch"}, "file_path_metas": metas}
    (folder / "configuration.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def _settle_rates(network: Any, words: list[str], never: str) -> None:
    """Biases that make marks about as frequent as `_RATES` says."""
    ids = {word: at for at, word in enumerate(words)}
    given = [ids.get(piece, 0) for piece in re.findall(r"[\x21-\x7f]+|[^\x00-\x7f]", text(2000, seed=99))]
    windows = torch.tensor(given[:2000]).reshape(-1, 40)
    with torch.no_grad():
        network.decoder.bias.zero_()
        scores, _ = network.punc_forward(windows, torch.full((len(windows),), 40))
        over = (scores - scores[..., 1:2]).reshape(-1, len(MARKS))
        for at, mark in enumerate(MARKS):
            if mark in _RATES:
                network.decoder.bias[at] = -torch.quantile(over[:, at], 1 - _RATES[mark])
            if mark == "<unk>" or mark in never:
                network.decoder.bias[at] = -50.0


def funasr(folder: Path) -> Any:
    """FunASR's `AutoModel` of such a folder."""
    return funasr_auto_model(folder)


def generate(model: Any, given: str) -> tuple[str, list[int]]:
    """FunASR's text and ids of marks for a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (result,) = model.generate(input=given)
    marks = result["punc_array"]
    return result["text"], [] if marks is None else [int(mark) for mark in marks]
