"""Which networks there are beside emotion2vec, by the class that `config.yaml` names, and what each is for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Literal

from overtone.errors import CheckpointError, UsageError
from overtone.models.checkpoints import EMOTION, Checkpoint
from overtone.models.task import Task, Vocabulary
from overtone.options.transcription import TranscribeOptions

Role = Literal["recognizer", "live", "vad", "punctuation", "speakers", "emotion"]

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(EMOTION, "emotion"),
    "SenseVoiceSmall": "recognizer",
    "Paraformer": "recognizer",
    "BiCifParaformer": "recognizer",
    "SeacoParaformer": "recognizer",
    "ParaformerStreaming": "live",
    "FsmnVADStreaming": "vad",
    "CTTransformer": "punctuation",
    "CAMPPlus": "speakers",
}
"""What a network is for."""

_ROLE_NAMES: Mapping[Role, str] = {
    "recognizer": "speech recognition",
    "live": "speech recognition while somebody speaks",
    "vad": "voice activity detection",
    "punctuation": "punctuation",
    "speakers": "telling speakers apart",
    "emotion": "emotion",
}

_NOT_RUN: Mapping[str, str] = {
    "ContextualParaformer": _ROLE_NAMES["recognizer"],
    "SenseVoiceRWKV": _ROLE_NAMES["recognizer"],
    "CTTransformerStreaming": _ROLE_NAMES["punctuation"],
    "ERes2NetV2": _ROLE_NAMES["speakers"],
    "MonotonicAligner": "aligning speech with a text that is known",
}
"""Purposes of FunASR's other networks, so that each is refused for what it is."""


def check_role(checkpoint: Checkpoint, role: Role) -> None:
    """CheckpointError for a network that is not known, or is for something else."""
    found = ROLES.get(checkpoint.kind)
    if found == role:
        return
    wanted = f"{_ROLE_NAMES[role]} takes {', '.join(kind for kind, its in ROLES.items() if its == role)}."
    its = _ROLE_NAMES[found] if found else _NOT_RUN.get(checkpoint.kind)
    if its is None:
        raise CheckpointError(
            f"{checkpoint.name}: config.yaml names the network {checkpoint.kind!r}, which Overtone does not run; "
            f"{wanted}"
        )
    unknown = "" if found else ", a network that Overtone does not run"
    raise CheckpointError(f"{checkpoint.name}: is a model for {its} ({checkpoint.kind}){unknown}; {wanted}")


def describe_role(checkpoint: Checkpoint) -> str:
    """What a model is for, in words. CheckpointError for a network that is not known."""
    if checkpoint.kind not in ROLES:
        meant = (role for role, its in _ROLE_NAMES.items() if its == _NOT_RUN.get(checkpoint.kind))
        check_role(checkpoint, next(meant, "recognizer"))
    return _ROLE_NAMES[ROLES[checkpoint.kind]]


def task_of(checkpoint: Checkpoint) -> Task:
    """What a recogniser or a speaker model does with waveforms. CheckpointError for others, and a broken folder."""
    if checkpoint.kind == "SenseVoiceSmall":
        from overtone.models.sense_voice.task import SenseVoiceTask

        return SenseVoiceTask(checkpoint)
    if checkpoint.kind == "CAMPPlus":
        from overtone.models.campplus.task import SpeakerTask

        return SpeakerTask(checkpoint)
    check_role(checkpoint, "recognizer")
    from overtone.models.paraformer.task import ParaformerTask

    return ParaformerTask(checkpoint)


def check_decode_params(kind: str, options: TranscribeOptions) -> None:
    """UsageError for what a recogniser of this kind cannot be asked."""
    if kind == "SenseVoiceSmall":
        if options.hotwords:
            raise UsageError("--hotwords takes a Paraformer with SeACo, such as paraformer-zh; SenseVoice has none.")
        return
    if options.hotwords and kind != "SeacoParaformer":
        raise UsageError("--hotwords takes a Paraformer with SeACo, such as paraformer-zh.")
    if options.language != "auto":
        raise UsageError("--language is for SenseVoice; a Paraformer knows the language it was made for.")
    if not options.itn:
        raise UsageError("--no-itn is for SenseVoice; a Paraformer writes words as they are said.")


def decode_params_for(kind: str, options: TranscribeOptions) -> Hashable:
    """What a recogniser of this kind is asked. UsageError for what it cannot do."""
    from overtone.models.paraformer.task import ParaformerParams

    check_decode_params(kind, options)
    if kind != "SenseVoiceSmall":
        return ParaformerParams(tuple(options.hotwords.split()))
    from overtone.models.sense_voice.task import SenseVoiceParams

    return SenseVoiceParams(language=options.language, itn=options.itn)


def writes_punctuation(checkpoint: Checkpoint) -> bool:
    """Whether a recogniser writes punctuation by itself."""
    return checkpoint.kind == "SenseVoiceSmall"


def vocabulary_of(task: Task) -> Vocabulary:
    """What a recogniser's tokens mean."""
    from overtone.models.paraformer.task import ParaformerTask
    from overtone.models.sense_voice.task import SenseVoiceTask

    assert isinstance(task, ParaformerTask | SenseVoiceTask)
    return task.tokens if isinstance(task, ParaformerTask) else task.pieces
