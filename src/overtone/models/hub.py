"""Aliases of published models, and their files fetched from the hubs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from overtone.errors import DownloadError, OvertoneError, UsageError

Hub = Literal["hf", "ms"]

BUNDLED = "tiny"
"""The model inside the package."""

ALIASES: Mapping[str, Mapping[Hub, str]] = {
    "base": {"hf": "emotion2vec/emotion2vec_base", "ms": "iic/emotion2vec_base"},
    "base-finetuned": {"hf": "emotion2vec/emotion2vec_base_finetuned", "ms": "iic/emotion2vec_base_finetuned"},
    "plus-seed": {"hf": "emotion2vec/emotion2vec_plus_seed", "ms": "iic/emotion2vec_plus_seed"},
    "plus-base": {"hf": "emotion2vec/emotion2vec_plus_base", "ms": "iic/emotion2vec_plus_base"},
    "plus-large": {"hf": "emotion2vec/emotion2vec_plus_large", "ms": "iic/emotion2vec_plus_large"},
    "sensevoice": {"hf": "FunAudioLLM/SenseVoiceSmall", "ms": "iic/SenseVoiceSmall"},
    "paraformer-zh": {
        "hf": "funasr/paraformer-zh",
        "ms": "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
    },
    "paraformer-zh-streaming": {
        "hf": "funasr/paraformer-zh-streaming",
        "ms": "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
    },
    "paraformer-en": {
        "hf": "funasr/paraformer-en",
        "ms": "iic/speech_paraformer-large-vad-punc_asr_nat-en-16k-common-vocab10020",
    },
    "fsmn-vad": {"hf": "funasr/fsmn-vad", "ms": "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch"},
    "ct-punc": {"hf": "funasr/ct-punc", "ms": "iic/punc_ct-transformer_cn-en-common-vocab471067-large"},
    "cam++": {"hf": "funasr/campplus", "ms": "iic/speech_campplus_sv_zh-cn_16k-common"},
}
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


def fetch(repo: str, files: Sequence[str], *, hub: Hub, download: bool) -> Path:
    """The folder that holds those files of a repository, fetched if they are not here yet.

    Raises DownloadError, with the remedy, where no hub can be reached.

    - `files`: names or patterns (`*.model`); those that the repository lacks are passed over.
    - `download`: False takes only the files that are here already.
    """
    remedy = (
        f"Where a hub can be reached, run `overtone models pull {repo} --hub {hub}`, copy the printed folder here, "
        "and give its path as --model."
    )
    try:
        client = _modelscope_client() if hub == "ms" else _hugging_face_client()
        return Path(client(repo, allow_patterns=list(files), local_files_only=not download))
    except OvertoneError:
        raise
    except Exception as error:  # hub clients raise dozens of kinds, from several libraries
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        what = f"{type(error).__name__}: {first_line}"[:300]
        raise DownloadError(f"{repo} could not be fetched from {_HUB_NAMES[hub]} ({what}). {remedy}") from error


_HUB_NAMES: Mapping[Hub, str] = {"hf": "the Hugging Face Hub", "ms": "ModelScope"}


def _hugging_face_client() -> Callable[..., str]:
    from huggingface_hub import snapshot_download

    return snapshot_download


def _modelscope_client() -> Callable[..., str]:
    try:
        from modelscope import snapshot_download
    except ImportError as error:
        raise DownloadError(
            "fetching from ModelScope needs its client: pip install 'overtone[modelscope]', or use --hub hf."
        ) from error
    client: Callable[..., str] = snapshot_download
    return client
