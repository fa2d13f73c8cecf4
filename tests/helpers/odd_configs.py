"""A folder of each family with everything but weights, its config with anything put anywhere, and all that reads it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from helpers.oracles import campplus, fsmn_vad, paraformer, sense_voice
from overtone.conversion import store
from overtone.errors import CheckpointError, OvertoneError
from overtone.merging.punctuation.restoration import PunctuationLabels
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.ct_transformer.network import build as build_punctuation
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.fsmn_vad.scorer import FsmnVad
from overtone.models.paraformer.streaming_task import StreamingParaformer
from overtone.models.registry import family_of
from overtone.models.sense_voice.config import encoder_config
from overtone.models.sense_voice.network import SenseVoice
from overtone.models.yaml_config import write_yaml

_PUNCTUATION: dict[str, Any] = {
    "model": "CTTransformer",
    "model_conf": {
        "ignore_id": 0,
        "embed_unit": 32,
        "att_unit": 32,
        "punc_list": ["<unk>", "_", "，", "。", "？", "、"],
        "punc_weight": [1.0] * 6,
        "sentence_end_id": 3,
    },
    "encoder": "SANMEncoder",
    "encoder_conf": {
        "input_size": 32,
        "output_size": 32,
        "attention_heads": 4,
        "linear_units": 64,
        "num_blocks": 2,
        "input_layer": "pe",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    },
    "tokenizer": "CharTokenizer",
}

_SENSE_VOICE: dict[str, Any] = {
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": {
        "output_size": 32,
        "attention_heads": 4,
        "linear_units": 64,
        "num_blocks": 3,
        "tp_blocks": 2,
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    },
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "tokenizer": "SentencepiecesTokenizer",
    "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True},
    "normalize": None,
    "frontend": "WavFrontend",
    "frontend_conf": {
        "fs": 16000,
        "window": "hamming",
        "n_mels": 80,
        "frame_length": 25,
        "frame_shift": 10,
        "lfr_m": 7,
        "lfr_n": 6,
        "cmvn_file": None,
    },
}

CONFIGS: Mapping[str, dict[str, Any]] = {
    "emotion2vec": random_checkpoint.config(random_checkpoint.SMALL),
    "fsmn-vad": yaml.safe_load(fsmn_vad.CONFIG.format(**fsmn_vad.SIZES["small"])),
    "campplus": yaml.safe_load(campplus.CONFIG.format(**campplus.SIZES["small"])),
    "ct-transformer": _PUNCTUATION,
    "sense-voice": _SENSE_VOICE,
    "paraformer": paraformer.config("Paraformer"),
    "bicif-paraformer": paraformer.config("BiCifParaformer"),
    "seaco-paraformer": paraformer.config("SeacoParaformer"),
    "streaming-paraformer": paraformer.config("ParaformerStreaming"),
}
"""A small config of each network that is run."""

_MORE: Mapping[str, tuple[str, ...]] = {
    "": ("scope_map", "token_list", "normalize", "frontend", "tokenizer", "seaco_decoder", "predictor"),
    "model_conf": (
        *("blank_id", "sos", "eos", "NO_BIAS", "share_embedding", "chunk_size", "dynamic_silence", "silence_schedule"),
        *("sentence_end_id", "feat_dim", "nn_eval_block_size"),
    ),
    "encoder_conf": (
        *("lora_list", "interctc_layer_idx", "concat_after", "positionwise_layer_type", "rorder", "use_softmax"),
        *("input_layer", "tp_blocks"),
    ),
    "decoder_conf": ("lora_list", "concat_after", "normalize_before"),
    "seaco_decoder_conf": ("lora_list", "concat_after", "use_output_layer", "att_layer_num"),
    "predictor_conf": ("smooth_factor", "noise_threshold", "smooth_factor2", "upsample_type", "use_cif1_cnn"),
    "frontend_conf": ("cmvn_file", "snip_edges", "upsacle_samples", "window"),
    "ctc_conf": ("extra_linear",),
}
"""Keys that are read but are not in every config."""

ODD = (
    *("null", "~", "true", "false", "on", "0", "1", "-1", "2", "0.5", "1.0", "1e5", "1e-5", "1e308", "-1e308", ".nan"),
    *(".inf", "-.inf", "65536", "65537", "1000000000", "1000000000000", str(1 << 62), "9" * 60, "-" + "9" * 60),
    *("9" * 5000, "0x" + "f" * 5000, "1:30", "010", "1_000", "2024-05-01", "''", "'1'", "text", "'\\0'", "a/b", "../a"),
    *("'" + "a" * 300 + "'", '"\\ud800"', '"\\0"', "[]", "[1]", "[[1]]", "[true]", "[null]", "[text]", "[.nan]", "{}"),
    *("{a: 1}", "{1: 2}", "[0, 0]", "[[1, .nan]]", "[[.inf, 1]]", "[9999999999]", "[(1, 1, 1)] * 64", "'[(1,1,1)]*64'"),
    *("'[(8192, 8192, 8192)] * 64'", "'[(1,1,2)]*64'", "'" + "[" * 3000 + "'", "!!int 1", "*a", "&a 1", "<<", "[<<]"),
    *("[" * 70 + "]" * 70, "999999", "255", "256", "4096", "16", "17"),
)
"""Values as they are written that somebody may have put anywhere."""

_HERE = "HERE-IT-GOES"


def places(config: Mapping[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    """Paths of every key that is there or is read."""
    more = _MORE.get(path[-1] if path else "", ())
    for key in dict.fromkeys((*config, *more)):
        yield (*path, key)
        if isinstance(within := config.get(key), Mapping):
            yield from places(within, *path, key)


def put(config: Mapping[str, Any], path: tuple[str, ...], written: str) -> str:
    """The config as text, with that in the place of the value at a path."""
    changed: Any = copy.deepcopy(dict(config))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = _HERE
    return write_yaml(changed).replace(_HERE, written)


def folder_of(folder: Path, network: str) -> Path:
    """Make the folder of a network, without tensors in its weights."""
    from safetensors.numpy import save_file

    folder.mkdir()
    (folder / "config.yaml").write_text(write_yaml(CONFIGS[network]), encoding="utf-8")
    words = ["<blank>", "<s>", "</s>", *(f"w{place}" for place in range(116)), "<unk>"]
    (folder / "tokens.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "tokens.txt").write_text("a/angry\nb/happy\n", encoding="utf-8")
    (folder / "am.mvn").write_text(sense_voice.cmvn(400 if network == "fsmn-vad" else 560, 0), encoding="utf-8")
    if network == "sense-voice":
        (folder / "chn.bpe.model").write_bytes(sense_voice.vocabulary(0))
    save_file({}, folder / "model.safetensors")
    return folder


def read_everything(folder: Path) -> list[str]:
    """Read all that is read of a folder, each reader for itself. The messages of CheckpointErrors; others are raised.

    What could be made large by a number alone is made: networks (without memory), and the memory of a stream.
    """
    told: list[str] = []
    try:
        found = checkpoints.read(folder, name="here")
        family = family_of(found)
    except CheckpointError as error:
        return [str(error)]
    readers = (
        family.check,
        family.labels,
        family.describe,
        family.task,
        family.build,
        lambda found: store._fingerprint(found, None, True),
        *_OF.get(found.kind, ()),
    )
    for read in readers:
        try:
            read(found)
        except CheckpointError as error:
            told.append(str(error))
    return told


def _emotion(found: Checkpoint) -> None:
    shape = Architecture.from_config(found.config, found.name)
    with torch.device("meta"):
        network = Emotion2vec(shape)
    network.slopes(0)
    assert shape.samples_for(20) < 1 << 20


def _voice(found: Checkpoint) -> None:
    with torch.device("meta"):
        SenseVoice(encoder_config(found.config, found.name), 100)


def _vad(found: Checkpoint) -> None:
    vad = FsmnVad(found)
    if np.prod(vad.config.memory, dtype=object) < 1 << 24:
        with suppress(OvertoneError):
            vad.stream(lambda *_: {})


def _live(found: Checkpoint) -> None:
    live = StreamingParaformer(found)
    assert max(map(len, live.shapes.values())) <= 5


def _marks(found: Checkpoint) -> None:
    labels = PunctuationLabels.from_config(found.config, found.name)
    assert labels.shown[labels.stop] == "。"
    build_punctuation(found)


_OF: Mapping[str, Any] = {
    "Emotion2vec": (_emotion,),
    "SenseVoiceSmall": (_voice,),
    "FsmnVADStreaming": (_vad,),
    "ParaformerStreaming": (_live,),
    "CTTransformer": (_marks,),
}
