"""Paraformers of random weights, laid out as they are published, and FunASR on them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from helpers.clips import buzz
from helpers.oracles.auto_model import funasr_auto_model
from helpers.oracles.config import as_written
from overtone.models.features.fbank import fbank, stack_frames

Kind = Literal["Paraformer", "BiCifParaformer", "SeacoParaformer", "ParaformerStreaming"]

_DECODER = {
    "attention_heads": 4,
    "linear_units": 2048,
    "num_blocks": 16,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "self_attention_dropout_rate": 0.1,
    "src_attention_dropout_rate": 0.1,
    "att_layer_num": 16,
    "kernel_size": 11,
    "sanm_shfit": 0,
}
_ENCODER = {
    "output_size": 512,
    "attention_heads": 4,
    "linear_units": 2048,
    "num_blocks": 50,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "input_layer": "pe",
    "pos_enc_class": "SinusoidalPositionEncoder",
    "normalize_before": True,
    "kernel_size": 11,
    "sanm_shfit": 0,
    "selfattention_layer_type": "sanm",
}
_PREDICTOR = {"idim": 512, "threshold": 1.0, "l_order": 1, "r_order": 1, "tail_threshold": 0.45}
_TIMES = {
    "smooth_factor2": 0.25,
    "noise_threshold2": 0.01,
    "upsample_times": 3,
    "use_cif1_cnn": False,
    "upsample_type": "cnn_blstm",
}
_MODEL = {
    "ctc_weight": 0.0,
    "lsm_weight": 0.1,
    "length_normalized_loss": True,
    "predictor_weight": 1.0,
    "predictor_bias": 1,
    "sampling_ratio": 0.75,
}
_SEACO = {
    "inner_dim": 512,
    "bias_encoder_type": "lstm",
    "bias_encoder_bid": False,
    "seaco_lsm_weight": 0.1,
    "seaco_length_normal": True,
    "train_decoder": True,
    "NO_BIAS": 8377,
}
_SEACO_DECODER = {
    "attention_heads": 4,
    "linear_units": 1024,
    "num_blocks": 4,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "self_attention_dropout_rate": 0.1,
    "src_attention_dropout_rate": 0.1,
    "kernel_size": 21,
    "sanm_shfit": 0,
    "use_output_layer": False,
    "wo_input_layer": True,
}
_FRONTEND = {
    "fs": 16000,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
    "dither": 0.0,
}


_STREAMING_ENCODER = {
    "input_layer": "pe_online",
    "chunk_size": [12, 15],
    "stride": [8, 10],
    "pad_left": [0, 0],
    "encoder_att_look_back_factor": [4, 4],
    "decoder_att_look_back_factor": [1, 1],
}


def vocabulary(size: int) -> list[str]:
    """Blank, marks, letters, pieces of English words, Chinese characters, and `<unk>` at the end."""
    words = ["the", "cat", "sea", "and", "sense", "it's", "a", "b", "i", "x"]
    pieces = ["sen@@", "si@@", "bi@@", "li@@", "ty@@", "dash@@"]
    latin = ["<blank>", "<s>", "</s>", *words, *pieces, *"0123456789"]
    chinese = [chr(0x4E00 + place) for place in range(size - len(latin) - 1)]
    return [*latin, *chinese, "<unk>"]


def config(kind: Kind, *, size: str = "small") -> dict[str, Any]:
    """A `config.yaml`, as published or with the numbers made small."""
    times = kind in ("BiCifParaformer", "SeacoParaformer")
    made: dict[str, Any] = {
        "model": kind,
        "model_conf": _MODEL | (_SEACO if kind == "SeacoParaformer" else {}),
        "encoder": "SANMEncoder",
        "encoder_conf": dict(_ENCODER),
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": dict(_DECODER),
        "predictor": "CifPredictorV3" if times else "CifPredictorV2",
        "predictor_conf": _PREDICTOR | (_TIMES if times else {}),
        "frontend": "WavFrontend",
        "frontend_conf": dict(_FRONTEND),
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
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
        "normalize": None,
    }
    if kind == "SeacoParaformer":
        made |= {"seaco_decoder": "ParaformerSANMDecoder", "seaco_decoder_conf": dict(_SEACO_DECODER)}
    if kind == "ParaformerStreaming":
        made |= {"encoder": "SANMEncoderChunkOpt", "frontend": "WavFrontendOnline"}
        made["encoder_conf"] |= _STREAMING_ENCODER
        made["decoder_conf"]["sanm_shfit"] = 5
        made["predictor_conf"]["tail_mask"] = False
    if size == "small":
        made["encoder_conf"] |= {"output_size": 32, "linear_units": 48, "num_blocks": 3}
        made["decoder_conf"] |= {
            "linear_units": 48,
            "num_blocks": 3,
            "att_layer_num": 3 if kind == "ParaformerStreaming" else 2,
        }
        made["predictor_conf"]["idim"] = 32
        if kind == "SeacoParaformer":
            made["model_conf"] |= {"inner_dim": 32, "NO_BIAS": 60}
            made["seaco_decoder_conf"]["linear_units"] = 48
    return made


def publish(folder: Path, *, kind: Kind = "Paraformer", seed: int = 0, size: str = "small") -> Path:
    """Write such a folder with FunASR's own class on seeded weights, which speak at the rate of speech. Returns it."""
    from funasr.register import tables

    tokens = vocabulary(8404 if size == "published" else 120)
    made = config(kind, size=size)
    folder.mkdir(parents=True, exist_ok=True)
    _import_classes()
    with warnings.catch_warnings(), torch.random.fork_rng(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        network = tables.model_classes[kind](
            **{key: value for key, value in made.items() if key != "model_conf"},
            **made["model_conf"],
            input_size=560,
            vocab_size=len(tokens),
        )
        _speak(network, made)
        # FunASR loses count of its times where the unknown token is left out.
        network.decoder.output_layer.bias[-1] = -100
        if kind == "SeacoParaformer":
            network.hotword_output_layer.bias[-1] = -100
            # Of as many random numbers one is the largest by so much: some tokens belong to hot words, some do not.
            network.hotword_output_layer.bias[made["model_conf"]["NO_BIAS"]] += 3.2 if size == "published" else 2.0
    torch.save(network.state_dict(), folder / "model.pt")
    random = np.random.default_rng(seed)
    (folder / "config.yaml").write_text(as_written(made), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    (folder / "seg_dict").write_text(seg_dict(tokens), encoding="utf-8")
    (folder / "am.mvn").write_text(mvn(random), encoding="utf-8")
    metas: dict[str, Any] = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"token_list": "tokens.json", "seg_dict_file": "seg_dict"},
        "frontend_conf": {"cmvn_file": "am.mvn"},
    }
    written = {"framework": "pytorch", "task": "auto-speech-recognition", "file_path_metas": metas}
    (folder / "configuration.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def seg_dict(tokens: list[str]) -> str:
    """How words are divided: each token that is a word as itself, and some words in pieces."""
    whole = [token for token in tokens if "@" not in token and "<" not in token]
    parts = {"sensible": "sen@@ si@@ bi@@ li@@ ty@@ the", "dashwood": "dash@@ and"}
    lines = [f"{token} {token}" for token in whole] + [f"{word}\t{pieces}" for word, pieces in parts.items()]
    return "\n".join(lines) + "\n"


def funasr(folder: Path) -> Any:
    """FunASR's `AutoModel` of such a folder."""
    return funasr_auto_model(folder)


def _import_classes() -> None:
    import funasr.models.bicif_paraformer.cif_predictor
    import funasr.models.bicif_paraformer.model
    import funasr.models.paraformer.decoder
    import funasr.models.sanm.encoder
    import funasr.models.seaco_paraformer.model
    import funasr.models.specaug.specaug  # noqa: F401


def _speak(network: Any, made: dict[str, Any]) -> None:
    """Some four tokens a second, and each predictor's weights as uneven as trained ones."""
    predictor = network.eval().predictor
    heard = stack_frames(fbank(buzz(3)), 7, 6) * 0.2 - 1.8
    frames = network.encoder(torch.from_numpy(heard)[None], torch.tensor([len(heard)]))[0].transpose(1, 2)
    predictor.cif_output.weight.mul_(8)
    told = predictor.cif_output(torch.relu(predictor.cif_conv1d(predictor.pad(frames))).transpose(1, 2))
    predictor.cif_output.bias.sub_(
        told.mean() + (1.3 if predictor.cif_output.in_features < 64 else 0.4)
    )  # wide ones vary less
    if made["predictor"] == "CifPredictorV3":
        predictor.cif_output2.weight.mul_(12)
        told = predictor.cif_output2(predictor.blstm(predictor.upsample_cnn(frames).transpose(1, 2))[0])
        predictor.cif_output2.bias.sub_(told.mean() + 1)


def mvn(random: np.random.Generator) -> str:
    """The normalisation of features, in the form of `am.mvn`."""
    shift = -(9 + random.standard_normal(560))
    scale = 0.2 + 0.05 * random.random(560)
    lines = ["<Nnet>", "<Splice> 560 560", "[ 0 ]"]
    for mark, numbers in (("<AddShift>", shift), ("<Rescale>", scale)):
        told = " ".join(f"{number:.6f}" for number in numbers)
        lines += [f"{mark} 560 560", f"<LearnRateCoef> 0 [ {told} ]"]
    return "\n".join([*lines, "</Nnet>", ""])
