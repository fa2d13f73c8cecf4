"""SenseVoice with random weights in a folder laid out as the published one, and FunASR's own model of it.

The weights are random but for the last layer, which is set so that the first four frames name tags, blanks come about
every other frame, and the rest names words and characters.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.clips import buzz
from helpers.oracles.auto_model import funasr_auto_model
from helpers.oracles.config import as_written
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import Frontend, FrontendConfig

TAGS = (
    *("<|zh|>", "<|en|>", "<|yue|>", "<|ja|>", "<|ko|>", "<|nospeech|>"),
    *("<|HAPPY|>", "<|SAD|>", "<|NEUTRAL|>", "<|EMO_UNKNOWN|>"),
    *("<|Speech|>", "<|BGM|>", "<|Laughter|>"),
    *("<|withitn|>", "<|woitn|>"),
)
_ENGLISH = (
    *("the", "tribal", "chieftain", "called", "for", "boy", "and", "presented", "him", "with", "fifty", "pieces"),
    *("of", "gold", "what", "a", "day", "it", "is", "good", "morning", "everyone", "this", "speech", "model", "hears"),
    "language",
)
_CHINESE = "开放时间早上九点至下午五点欢迎大家来体验达摩院推出的语音识别模型今天气很好我们去公园吧，。"
_SCRIPTS = ((0x4E00, 0x9FA6), (0xAC00, 0xD7A4))
_VOCABULARY = {"small": 220, "published": 25_055}
_SIZES = {
    "small": {"output_size": 32, "attention_heads": 4, "linear_units": 64, "num_blocks": 3, "tp_blocks": 2},
    "published": {"output_size": 512, "attention_heads": 4, "linear_units": 2048, "num_blocks": 50, "tp_blocks": 20},
}


def publish(folder: Path, *, seed: int = 0, size: str = "small") -> Path:
    """Write such a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(size)
    (folder / "config.yaml").write_text(as_written(config), encoding="utf-8")
    metas = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"bpemodel": "chn_jpn_yue_eng_ko_spectok.bpe.model"},
        "frontend_conf": {"cmvn_file": "am.mvn"},
    }
    described = {"framework": "pytorch", "task": "auto-speech-recognition", "file_path_metas": metas}
    (folder / "configuration.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "am.mvn").write_text(cmvn(560, seed), encoding="utf-8")
    pieces = vocabulary(seed, _VOCABULARY[size])
    (folder / "chn_jpn_yue_eng_ko_spectok.bpe.model").write_bytes(pieces)
    torch.save(_weights(config, pieces, _features(folder), seed), folder / "model.pt")
    return folder


def funasr(folder: Path) -> Any:
    """FunASR's `AutoModel` of it."""
    return funasr_auto_model(folder)


def cmvn(dim: int, seed: int) -> str:
    """A network of Kaldi's that takes a mean of about 10 off and divides by about 4."""
    random = np.random.default_rng(seed)
    shift, scale = -10 + random.standard_normal(dim), 0.25 + 0.02 * random.standard_normal(dim)
    rows = [" ".join(f"{number:.6g}" for number in numbers) for numbers in (shift, scale)]
    return (
        f"<Nnet>\n<Splice> {dim} {dim}\n[ 0 ]\n<AddShift> {dim} {dim}\n<LearnRateCoef> 0 [ {rows[0]} ]\n"
        f"<Rescale> {dim} {dim}\n<LearnRateCoef> 0 [ {rows[1]} ]\n</Nnet>\n"
    )


def vocabulary(seed: int, size: int = 220) -> bytes:
    """A model of SentencePiece's, over made-up English and Chinese. Each word has a piece with a blank before it and
    one without. Beyond 220 pieces it is filled up with other characters."""
    import sentencepiece

    random = np.random.default_rng(seed)

    def sentence() -> str:
        if random.random() < 0.6:
            return " ".join(random.choice(_ENGLISH, 8))
        return "".join(random.choice(list(_CHINESE), 12))

    others = [chr(code) for start, stop in _SCRIPTS for code in range(start, stop) if chr(code) not in _CHINESE]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([sentence() for _ in range(3000)]),
        model_writer=model,
        vocab_size=size,
        model_type="bpe",
        user_defined_symbols=[*TAGS, *others[: size - 220]],
        add_dummy_prefix=False,
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def _config(size: str) -> dict[str, Any]:
    return {
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": {
            **_SIZES[size],
            "dropout_rate": 0.1,
            "positional_dropout_rate": 0.1,
            "attention_dropout_rate": 0.1,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "kernel_size": 11,
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
        },
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": {
            "fs": 16000,
            "window": "hamming",
            "n_mels": 80,
            "frame_length": 25,
            "frame_shift": 10,
            "lfr_m": 7,
            "lfr_n": 6,
            "dither": 0.0,  # left out, FunASR adds noise and says another thing each time
            "cmvn_file": None,
        },
        "specaug": "SpecAugLFR",
        "specaug_conf": {
            "apply_time_warp": False,
            "apply_freq_mask": True,
            "freq_mask_width_range": [0, 30],
            "lfr_rate": 6,
            "num_freq_mask": 1,
            "apply_time_mask": True,
            "time_mask_width_range": [0, 12],
            "num_time_mask": 1,
        },
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
        "normalize": None,
    }


def _features(folder: Path) -> np.ndarray:
    """Of something like speech, and of noise that comes and goes."""
    config = FrontendConfig(stack=7, stride=6)
    frontend = Frontend(config, read_cmvn((folder / "am.mvn").read_text(encoding="utf-8"), folder.name))
    random = np.random.default_rng(0)
    noise = 0.05 * random.standard_normal(160_000) * np.abs(np.sin(np.arange(160_000) / 9_000))
    return np.concatenate([frontend(buzz(20)), frontend(noise.astype(np.float32))])


def _weights(config: dict[str, Any], pieces: bytes, features: np.ndarray, seed: int) -> dict[str, torch.Tensor]:
    import sentencepiece

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from funasr.models.sense_voice.model import SenseVoiceSmall
    words = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    torch.manual_seed(seed)
    model = SenseVoiceSmall(
        encoder=config["encoder"],
        encoder_conf=config["encoder_conf"],
        ctc_conf=config["ctc_conf"],
        input_size=560,
        vocab_size=len(words),
        **config["model_conf"],
    ).eval()
    with torch.inference_mode():
        for name, parameter in model.encoder.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "fsmn" in name or "linear_out" in name:
                parameter.mul_(0.3)  # so that a frame's neighbours do not drown it

        speech = torch.from_numpy(features)[None]

        def hidden(language: int, norm: int) -> torch.Tensor:
            queries = model.embed(torch.tensor([[language, 1, 2, norm]]))
            together = torch.cat([queries, speech], dim=1)
            return model.encoder(together, torch.tensor([together.shape[1]]))[0][0]

        asked = {"<|en|>": (0, 15), "<|zh|>": (3, 14), "<|yue|>": (7, 15), "<|ja|>": (11, 14), "<|ko|>": (12, 15)}
        heard = {tag: hidden(*query) for tag, query in asked.items()}
        frames = torch.cat([rows[4:] for rows in heard.values()])
        middle = frames.mean(dim=0)
        weight = torch.randn(len(words), frames.shape[1]) * 4 / (frames - middle).norm(dim=1).mean()
        bias = -(weight @ middle)
        silent = [0, 1, 2, *(i for i in range(len(words)) if words.IdToPiece(i) in (*TAGS, "▁"))]
        weight[silent] = 0
        bias[silent] = -100
        bias[0] = (frames @ weight.T + bias).amax(dim=1).quantile(0.5)
        every = torch.stack(list(heard.values()))
        places = {tag: rows[0] for tag, rows in heard.items()}
        places |= {"<|NEUTRAL|>": every[:, 1].mean(dim=0), "<|Speech|>": every[:, 2].mean(dim=0)}
        places |= {"<|withitn|>": every[[1, 3], 3].mean(dim=0), "<|woitn|>": every[[0, 2, 4], 3].mean(dim=0)}
        peak = bias[0] + 25
        length = (frames**2).sum(dim=1).mean()
        for tag, place in places.items():
            # Scores fall with the distance from where this tag is said, so much that no frame of speech says it.
            steepness = 2 * peak / (frames - place).norm(dim=1).quantile(0.02) ** 2
            at = words.PieceToId(tag)
            weight[at], bias[at] = 2 * steepness * place, peak - steepness * (place @ place + length)
        model.ctc.ctc_lo.weight.copy_(weight)
        model.ctc.ctc_lo.bias.copy_(bias)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
