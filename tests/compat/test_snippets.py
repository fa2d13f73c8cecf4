"""Calls as published examples make them: the READMEs and model cards of FunASR, SenseVoice and emotion2vec."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from helpers.clips import CLIPS
from overtone.compat import AutoModel, IgnoredArgumentWarning
from overtone.models import hub

pytest.importorskip("jieba", reason="jieba, whose dictionary punctuation goes by, is not installed")

Values = dict[str, Any]
EXAMPLE = CLIPS / "speech/wenet/aishell-BAC009S0724W0121.wav"

REPOSITORIES = {
    "FunAudioLLM/SenseVoiceSmall": "sensevoice",
    "iic/SenseVoiceSmall": "sensevoice",
    "funasr/paraformer-zh": "seaco",
    "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch": "seaco",
    "iic/speech_paraformer-large-vad-punc_asr_nat-zh-cn-16k-common-vocab8404-pytorch": "bicif",
    "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch": "plain",
    "funasr/paraformer-en": "plain",
    "funasr/paraformer-zh-streaming": "streaming",
    "funasr/fsmn-vad": "vad",
    "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch": "vad",
    "funasr/ct-punc": "punc",
    "iic/punc_ct-transformer_cn-en-common-vocab471067-large": "punc",
    "iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch": "punc",
    "funasr/campplus": "spk",
    "iic/speech_campplus_sv_zh-cn_16k-common": "spk",
    "emotion2vec/emotion2vec_plus_large": "emotion",
    "iic/emotion2vec_plus_large": "emotion",
    "emotion2vec/emotion2vec_base_finetuned": "emotion",
    "iic/emotion2vec_base_finetuned": "emotion",
}
"""Repositories of the hubs, and the small model that stands for each here."""

VERSIONS = {"v2.0.2", "v2.0.4"}
"""Revisions that ModelScope has of them, and the Hugging Face Hub has not."""

READ: Mapping[str, Callable[[], Any]] = {
    "samples": lambda: soundfile.read(EXAMPLE)[0],
    "column": lambda: soundfile.read(EXAMPLE, dtype="float32", always_2d=True)[0],
    "bytes": EXAMPLE.read_bytes,
}
"""Inputs that are not files, by the name that a snippet has for them below."""

SENSE_VOICE: Values = {"model": "iic/SenseVoiceSmall", "trust_remote_code": True, "remote_code": "./model.py"}
CODE = ("remote_code", "trust_remote_code")
REVISIONS = {f"{name}model_revision": "v2.0.4" for name in ("", "vad_", "punc_")}
CUT = {"vad_model": "fsmn-vad", "vad_kwargs": {"max_single_segment_time": 30000}}
MANDARIN: Values = {"model": "paraformer-zh", "vad_model": "fsmn-vad", "punc_model": "ct-punc"}
LIVE: Values = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1}
EMOTION: Values = {"granularity": "utterance", "extract_embedding": False}
UPDATE: Values = {"disable_update": True, "disable_pbar": True, "disable_log": True}

SNIPPETS: list[tuple[str, Values, Values, tuple[str, ...], str]] = [
    # what it is, AutoModel's arguments, generate's, what is warned of, a key of the result
    (
        "SenseVoice's README, with VAD",
        {**SENSE_VOICE, **CUT, "device": "cuda:0"},
        {"cache": {}, "language": "auto", "use_itn": True, "batch_size_s": 60, "merge_vad": True, "merge_length_s": 15},
        (*CODE, "device"),
        "text",
    ),
    (
        "SenseVoice's README, speakers",
        {**SENSE_VOICE, **CUT, "spk_model": "cam++", "punc_model": "ct-punc", "device": "cuda:0"},
        {"cache": {}, "language": "auto", "use_itn": True, "batch_size_s": 60, "merge_vad": True, "merge_length_s": 15},
        (*CODE, "device"),
        "sentence_info",
    ),
    (
        "SenseVoice's README, short files",
        {"model": "iic/SenseVoiceSmall", "trust_remote_code": True, "device": "cuda:0"},
        {"cache": {}, "language": "zh", "use_itn": False, "batch_size": 64},
        ("trust_remote_code", "device"),
        "text",
    ),
    (
        "SenseVoice, no unknown emotion",
        {"model": "iic/SenseVoiceSmall", "hub": "ms", "trust_remote_code": False, **UPDATE},
        {"language": "zn", "use_itn": False, "ban_emo_unk": True, "hotword": ""},
        (),
        "text",
    ),
    (
        "FunASR's README, quick start",
        {"model": "iic/SenseVoiceSmall", "vad_model": "fsmn-vad", "spk_model": "cam++", "device": "cuda"},
        {},
        ("device",),
        "sentence_info",
    ),
    (
        "SenseVoice, times",
        {"model": "iic/SenseVoiceSmall", "device": "mps", "ncpu": 2},
        {"output_timestamp": True, "fs": 16000, "disable_pbar": True},
        ("device",),
        "timestamp",
    ),
    (
        "FunASR's README, Mandarin",
        {**MANDARIN, "spk_model": "cam++", "device": "cuda"},
        {"hotword": "关键词 20"},
        ("device",),
        "sentence_info",
    ),
    (
        "FunASR's README of 2024",
        {**MANDARIN, **REVISIONS, "spk_model": "cam++", "spk_model_revision": "v2.0.2", "punc_model": "ct-punc-c"},
        {"batch_size_s": 300, "hotword": "魔搭"},
        (*REVISIONS, "spk_model_revision"),
        "sentence_info",
    ),
    ("the same, from ModelScope", {**MANDARIN, **REVISIONS, "hub": "ms", "ngpu": 0}, {"hotword": ""}, (), "timestamp"),
    (
        "the tutorial",
        {**MANDARIN, "vad_kwargs": {"max_single_segment_time": 60000}},
        {"batch_size_s": 300, "batch_size_threshold_s": 60, "hotword": "魔搭"},
        (),
        "timestamp",
    ),
    (
        "Paraformer by its former owner",
        {
            "model": "damo/speech_paraformer-large-vad-punc_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
            "vad_model": "damo/speech_fsmn_vad_zh-cn-16k-common-pytorch",
            "punc_model": "damo/punc_ct-transformer_zh-cn-common-vocab272727-pytorch",
            "spk_model": "damo/speech_campplus_sv_zh-cn_16k-common",
            **UPDATE,
        },
        {"sentence_timestamp": True, "return_raw_text": True, "is_final": True, "language": "zh", "use_itn": True},
        ("language", "use_itn"),
        "sentence_info",
    ),
    (
        "a service's pipeline",
        {**MANDARIN, "hub": "ms", "ngpu": 1, "ncpu": 4, "log_level": "ERROR", "cache_dir": "models"},
        {"pred_timestamp": False, "en_post_proc": True, "cache": {}, "return_spk_res": False},
        ("ngpu", "log_level", "cache_dir"),
        "text",
    ),
    ("short names", {"model": "paraformer", "hub": "ms", "model_revision": "master"}, {}, (), "text"),
    (
        "English",
        {"model": "paraformer-en", "vad_model": "fsmn-vad"},
        {"hotword": "sensible"},
        ("hotword",),
        "text",
    ),
    (
        "a whole file to the streaming model",
        {"model": "paraformer-zh-streaming", "model_revision": "v2.0.4"},
        {"batch_size_s": 300, "hotword": "魔搭"},
        ("model_revision", "hotword"),
        "text",
    ),
    (
        "a stream, the last part",
        {"model": "paraformer-zh-streaming", "device": "cuda"},
        {"input": "samples", "cache": {}, "is_final": True, **LIVE},
        ("device",),
        "text",
    ),
    (
        "a stream of 480 ms",
        {"model": "paraformer-zh-streaming", **UPDATE},
        {"input": "column", "cache": {}, "is_final": False, **LIVE, "chunk_size": [0, 8, 4]},
        (),
        "text",
    ),
    ("FSMN-VAD", {"model": "fsmn-vad", "model_revision": "v2.0.4"}, {}, ("model_revision",), "value"),
    ("FSMN-VAD's stretches", {"model": "fsmn-vad", "max_single_segment_time": 6000}, {"fs": 16000}, (), "value"),
    (
        "FSMN-VAD, a stream",
        {"model": "fsmn-vad"},
        {"input": "samples", "cache": {}, "is_final": True, "chunk_size": 200},
        (),
        "value",
    ),
    (
        "CT-Transformer",
        {"model": "ct-punc", "model_revision": "v2.0.4"},
        {"input": "好 the 一"},
        ("model_revision",),
        "text",
    ),
    ("CAM++", {"model": "cam++", "device": "cuda:0"}, {"input": "bytes"}, ("device",), "spk_embedding"),
    (
        "emotion2vec's README",
        {"model": "iic/emotion2vec_plus_large", "hub": "hf"},
        {**EMOTION, "output_dir": "out"},
        (),
        "scores",
    ),
    (
        "emotion2vec's card",
        {"model": "iic/emotion2vec_base_finetuned", "model_revision": "v2.0.4"},
        {**EMOTION, "output_dir": "out"},
        ("model_revision",),
        "scores",
    ),
    (
        "FunASR's README, emotion",
        {"model": "emotion2vec_plus_large", "device": "cuda"},
        {"granularity": "utterance"},
        ("device",),
        "feats",
    ),
    (
        "emotion2vec as others call it",
        {
            "model": "emotion2vec_plus_large",
            "hub": "huggingface",
            "vad_kwargs": {},
            "trust_remote_code": True,
            **UPDATE,
        },
        {"input": "samples", "fs": 16000, "language": "auto", "use_itn": True, "batch_size_s": 60, **EMOTION},
        ("trust_remote_code", "language", "use_itn"),
        "scores",
    ),
    (
        "emotion2vec, a column of samples",
        {"model": "emotion2vec_plus_large"},
        {"input": "column", "granularity": "frame", "extract_embedding": True},
        (),
        "feats",
    ),
]


@pytest.fixture
def _published(
    models: dict[str, str],
    quickly_loaded: None,
    converted_here: None,
    decoded_here: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hubs that have small models in the place of those that are published. The working folder is an empty one."""

    def client(versions: set[str]) -> Callable[..., str]:
        def fetched(repo: str, revision: str | None = None, **_: Any) -> str:
            if revision is not None and revision not in versions:
                raise RuntimeError(f"404: no revision {revision}")
            return models[REPOSITORIES[repo]]

        return fetched

    monkeypatch.setattr(hub, "_hugging_face_client", lambda: client(set()))
    monkeypatch.setattr(hub, "_modelscope_client", lambda: client(VERSIONS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OVERTONE_MEMORY", "4GiB")
    monkeypatch.setenv("OVERTONE_BACKEND", "torch")  # which converts nothing; what is heard is tested elsewhere
    monkeypatch.setenv("OVERTONE_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.usefixtures("_published")
@pytest.mark.parametrize(
    ("settings", "call", "warned", "key"), [snippet[1:] for snippet in SNIPPETS], ids=[one[0] for one in SNIPPETS]
)
def test_a_published_call_runs(settings: Values, call: Values, warned: tuple[str, ...], key: str) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        model = AutoModel(**settings)
        example = Path("example") / "asr_example.wav"
        example.parent.mkdir()
        shutil.copy(EXAMPLE, example)
        named = call.get("input", str(example))
        for _ in range(2):  # a second call warns of nothing
            # A script makes its cache anew for each stream.
            results = model.generate(**{**call, "input": READ[named]() if named in READ else named, **_cache(call)})
        model.close()
    assert len(results) == 1
    assert key in results[0]
    own = [str(one.message) for one in given if issubclass(one.category, IgnoredArgumentWarning)]
    assert len(own) == len(warned), own
    for name in warned:
        assert any(f"{name}=" in text for text in own), (name, own)
    assert {one.filename for one in given if issubclass(one.category, IgnoredArgumentWarning)} <= {__file__}


def _cache(call: Values) -> Values:
    return {"cache": {}} if "cache" in call else {}


@pytest.mark.usefixtures("_published")
def test_a_column_is_heard_as_the_same_samples_in_a_row() -> None:
    model = AutoModel(model="emotion2vec_plus_large")
    column = READ["column"]()
    (one,), (other,) = model.generate(column), model.generate(column[:, 0])
    assert column.shape[1] == 1
    np.testing.assert_array_equal(one["feats"], other["feats"])
    model.close()
