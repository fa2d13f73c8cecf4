"""Aliases of published models, and their files fetched from the hubs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from overtone.errors import DownloadError, OvertoneError, UsageError

Hub = Literal["hf", "ms"]

BUNDLED = "tiny"
"""The model inside the package."""

BUNDLED_ABOUT = "inside this package: acted German, 7 classes; makes the first command work"
"""Description of the bundled model, in a few words."""


_FUNASR_LICENSE = "FunASR's Model Open Source License Agreement, by its card on Hugging Face"


class PublishedModel(NamedTuple):
    """A published checkpoint.

    Attributes
    ----------
    hf, ms
        Its ids on the Hugging Face Hub and on ModelScope.
    about
        Its use, in a few words.
    millions
        Millions of numbers in the network of the published shape; None where they are not counted here.
    license
        Its terms, as its card on the hub named them; the card of the copy that was fetched counts.
    """

    hf: str
    ms: str
    about: str
    millions: float | None = None
    license: str = "not known here; see its card"


PUBLISHED: Mapping[str, PublishedModel] = {
    "base": PublishedModel(
        "emotion2vec/emotion2vec_base",
        "iic/emotion2vec_base",
        "self-supervised, no classes: embeddings",
        93,
        _FUNASR_LICENSE,
    ),
    "base-finetuned": PublishedModel(
        "emotion2vec/emotion2vec_base_finetuned",
        "iic/emotion2vec_base_finetuned",
        "9 classes",
        93,
        _FUNASR_LICENSE,
    ),
    "plus-seed": PublishedModel(
        "emotion2vec/emotion2vec_plus_seed",
        "iic/emotion2vec_plus_seed",
        "emotion2vec+, 9 classes",
        93,
        _FUNASR_LICENSE,
    ),
    "plus-base": PublishedModel(
        "emotion2vec/emotion2vec_plus_base",
        "iic/emotion2vec_plus_base",
        "emotion2vec+, 9 classes",
        93,
        _FUNASR_LICENSE,
    ),
    "plus-large": PublishedModel(
        "emotion2vec/emotion2vec_plus_large",
        "iic/emotion2vec_plus_large",
        "emotion2vec+, 9 classes, the best of them",
        162,
        _FUNASR_LICENSE,
    ),
    "sensevoice": PublishedModel(
        "FunAudioLLM/SenseVoiceSmall",
        "iic/SenseVoiceSmall",
        "words in Chinese, Cantonese, English, Japanese, Korean, and their mood",
        234,
        _FUNASR_LICENSE,
    ),
    "paraformer-zh": PublishedModel(
        "funasr/paraformer-zh",
        "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
        "words in Chinese and English, with times and hot words",
        247,
        _FUNASR_LICENSE,
    ),
    "paraformer-zh-streaming": PublishedModel(
        "funasr/paraformer-zh-streaming",
        "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
        "the same while somebody speaks, for AutoModel",
        220,
        _FUNASR_LICENSE,
    ),
    "paraformer-en": PublishedModel(
        "funasr/paraformer-en",
        "iic/speech_paraformer-large-vad-punc_asr_nat-en-16k-common-vocab10020",
        "words in English",
        license=_FUNASR_LICENSE,
    ),
    "fsmn-vad": PublishedModel(
        "funasr/fsmn-vad",
        "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch",
        "where somebody speaks",
        0.4,
        _FUNASR_LICENSE,
    ),
    "ct-punc": PublishedModel(
        "funasr/ct-punc",
        "iic/punc_ct-transformer_cn-en-common-vocab471067-large",
        "punctuation, Chinese and English",
        281,
    ),
    "cam++": PublishedModel(
        "funasr/campplus",
        "iic/speech_campplus_sv_zh-cn_16k-common",
        "voices, to tell speakers apart",
        6.9,
        _FUNASR_LICENSE,
    ),
}
"""Published checkpoints by their short names."""

ALIASES: Mapping[str, Mapping[Hub, str]] = {name: {"hf": model.hf, "ms": model.ms} for name, model in PUBLISHED.items()}
"""Short names of the published checkpoints on the Hugging Face Hub and on ModelScope."""


def hub_id(model: str, hub: Hub) -> str:
    """Hub repository of an alias or of an id given for either hub."""
    if model in ALIASES:
        return ALIASES[model][hub]
    for ids in ALIASES.values():
        # With or without its owner: `emotion2vec_plus_large` is what FunASR calls it.
        if model in ids.values() or model == ids["ms"].split("/")[1]:
            return ids[hub]
    if model.count("/") == 1 and not model.startswith((".", "/", "~")) and not model.endswith("/"):
        return model
    known = ", ".join([BUNDLED, *ALIASES])
    raise UsageError(f"{model!r} is no folder here, no hub id (owner/name) and none of the known models: {known}.")


def fetch(repo: str, files: Sequence[str], *, hub: Hub, download: bool, revision: str | None = None) -> Path:
    """The folder that holds those files of a repository, fetched if they are not here yet.

    Raises DownloadError, with the remedy, where no hub can be reached.

    - `files`: names or patterns (`*.model`); those that the repository lacks are passed over.
    - `download`: False takes only the files that are here already.
    - `revision`: a branch, tag or commit of the repository; None for the hub's main branch.
    """
    remedy = (
        f"Where a hub can be reached, run `overtone models pull {repo} --hub {hub}`, copy the printed folder here, "
        "and give its path as the model."
    )
    try:
        client = _modelscope_client() if hub == "ms" else _hugging_face_client()
        version = {} if revision is None else {"revision": revision}
        return Path(client(repo, allow_patterns=list(files), local_files_only=not download, **version))
    except OvertoneError:
        raise
    except Exception as error:  # hub clients raise dozens of kinds, from several libraries
        if not download:
            raise DownloadError(f"{repo} is not on this machine. {remedy}") from error
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        what = textwrap.shorten(f"{type(error).__name__}: {first_line}", _REASON_CHARACTERS, placeholder=" …")
        raise DownloadError(f"{repo} could not be fetched from {_HUB_NAMES[hub]} ({what}). {remedy}") from error


_REASON_CHARACTERS = 300
"""Most of what a hub's client says that is repeated; some name every server they tried."""

_HUB_NAMES: Mapping[Hub, str] = {"hf": "the Hugging Face Hub", "ms": "ModelScope"}


def _hugging_face_client() -> Callable[..., str]:
    from huggingface_hub import snapshot_download

    return snapshot_download


def _modelscope_client() -> Callable[..., str]:
    try:
        from modelscope import snapshot_download
    except ImportError as error:
        raise DownloadError(
            "fetching from ModelScope needs its client: pip install 'overtone[modelscope]', or use the hub hf."
        ) from error
    client: Callable[..., str] = snapshot_download
    return client
