"""`AutoModel`: finds out what kind of model it is given, and hands its calls on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from overtone.compat.arguments import device_of, hub_of
from overtone.compat.beside import NAMES
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.registry import check_role, role_of


class ModelAdapter(Protocol):
    """What one kind of model does with FunASR's calls."""

    folder: Path
    """Where its checkpoint is."""

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """FunASR's dictionaries."""

    def close(self) -> None:
        """Free the model."""


class AutoModel:
    """See the package. model: as FunASR names it, or a folder.

    device: `cuda`, `cuda:0`, `cpu`; None takes what is there. hub: `ms` or `hf`. ncpu: threads on a CPU. memory:
    Overtone's budget. For a recogniser: `vad_model`, `punc_model`, `spk_model`, each with its `…_kwargs`, `spk_mode`,
    and any argument of `generate`, which calls begin with then.

    Raises UsageError for an argument that is not known, ModelError (checkpoint, download), DeviceError, and BudgetError
    if the memory given cannot hold it.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        hub: str = "hf",
        ncpu: int | None = None,
        memory: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        options = {"hub": hub_of(hub), "device": device_of(device) or "auto", "threads": ncpu, "memory": memory}
        arguments = {name: value for name, value in kwargs.items() if name not in NAMES or value is not None}
        self._face = _face(model, arguments, options)
        self.model_path = str(self._face.folder)

    def close(self) -> None:
        """Free the model. Dropping the last reference does the same."""
        self._face.close()

    def generate(
        self,
        input: Any,
        input_len: None = None,
        progress_callback: Callable[[int, int], None] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """FunASR's dictionaries, one for each input; what is in them, and what else may be said, depends on the model.

        input: a path; a `wav.scp`, `.txt` or `.jsonl` list; an array of samples at `fs` Hz (float, or int16); bytes of
        a file or of int16 samples; or a list of these. For punctuation: text, a list of texts, or a file of them.
        key: the input's name in the result, instead of the file's stem; in a list files keep theirs, as in FunASR.
        Raises InputError for the first input that cannot be used, UsageError for an argument that is not known.
        """
        return self._face.generate(input, progress_callback, {"input_len": input_len, **kwargs})


def _face(model: str, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> ModelAdapter:
    checkpoint = checkpoints.find(model, hub=options["hub"])
    if role_of(checkpoint.kind) == "emotion":
        from overtone.compat.emotion import Emotions

        return Emotions(model, arguments, options)
    return _speech_face(checkpoint, arguments, options)


def _speech_face(checkpoint: Checkpoint, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> ModelAdapter:
    role = role_of(checkpoint.kind)
    if role == "live":
        from overtone.compat.streaming import StreamingRecognition

        return StreamingRecognition(checkpoint, arguments, options)
    if role == "vad":
        from overtone.compat.vad import VadModel

        return VadModel(checkpoint, arguments, options)
    if role == "punctuation":
        from overtone.compat.punctuation import Punctuation

        return Punctuation(checkpoint, arguments, options)
    if role == "speakers":
        from overtone.compat.speaker import SpeakerVoices

        return SpeakerVoices(checkpoint, arguments, options)
    check_role(checkpoint, "recognizer")
    from overtone.compat.recognition import Recognition

    return Recognition(checkpoint, arguments, options)
