"""`AutoModel`: FunASR's call for every kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from overtone.compat.arguments import Arguments, hub_of
from overtone.compat.devices import usable_device
from overtone.compat.models import find_model
from overtone.models.checkpoints import Checkpoint
from overtone.models.registry import check_role, role_of


class ModelAdapter(Protocol):
    """FunASR's calls for one kind of model."""

    folder: Path
    """The folder of its checkpoint."""

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """FunASR's dictionaries, one for each input."""

    def close(self) -> None:
        """Free the model."""


class AutoModel:
    """FunASR's `AutoModel` over Overtone's engine; see `overtone.compat`.

    Parameters
    ----------
    model
        A model as FunASR names it, or a folder.
    model_revision
        Branch, tag or commit of a model that is fetched. Where the hub does not have it, the newest is taken, with a
        warning. `vad_model_revision`, `punc_model_revision` and `spk_model_revision` likewise.
    device
        `cuda`, `cuda:0` or `cpu`; None takes the device there is. One of a kind that this machine does not have is the
        CPU, with a warning.
    hub
        `ms` or `hf`.
    ncpu
        Threads on a CPU.
    memory
        Overtone's budget, as `2GiB` or bytes.
    **kwargs
        For a recognizer: `vad_model`, `punc_model`, `spk_model`, each with its `…_kwargs`, `spk_mode`, and any argument
        of `generate`, as a default of its calls.

    Raises
    ------
    UsageError
        For an argument that would change an answer in FunASR and is not done here, or that looks misspelled.
    ModelError
        For a checkpoint that is not found, cannot be downloaded, or is broken.
    DeviceError
        For a device that is not there.
    BudgetError
        If the memory given cannot hold the model.

    Warns
    -----
    IgnoredArgumentWarning
        Once for each argument that FunASR ignores too.

    Examples
    --------
    >>> from overtone.compat import AutoModel
    >>> model = AutoModel(model="tiny", disable_update=True)
    >>> [answer] = model.generate("examples/angry.wav", granularity="utterance", extract_embedding=False)
    >>> answer["key"], answer["labels"][answer["scores"].index(max(answer["scores"]))]
    ('angry', '生气/angry')
    >>> model.close()
    """

    def __init__(
        self,
        model: str,
        *,
        model_revision: str | None = None,
        device: str | None = None,
        hub: str = "hf",
        ncpu: int | None = None,
        memory: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = Arguments()
        # FunASR runs a model on the CPU where it is given no GPUs.
        found_on = "cpu" if kwargs.get("ngpu") == 0 else usable_device(device, arguments, "AutoModel")
        given = {name: value for name, value in kwargs.items() if name != "model_path"}
        options = {"hub": hub_of(hub), "device": found_on or "auto", "threads": ncpu, "memory": memory}
        checkpoint = find_model(kwargs.get("model_path") or model, hub_of(hub), model_revision, arguments)
        self._adapter = _adapter_of(checkpoint)(checkpoint, given, options, arguments)
        self.model_path = str(self._adapter.folder)

    def close(self) -> None:
        """Free the model. Dropping the last reference does the same."""
        self._adapter.close()

    def generate(
        self,
        input: Any,
        input_len: None = None,
        progress_callback: Callable[[int, int], None] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """FunASR's dictionaries, one for each input; their keys, and the arguments there are, depend on the model.

        Parameters
        ----------
        input
            A path; a `wav.scp`, `.txt` or `.jsonl` list; an array of samples at `fs` Hz, float or int16, shape
            (samples,); bytes of a file or of int16 samples; or a list of these. For punctuation: text, a list of texts,
            or a file of them.
        input_len
            Taken and not used; None.
        progress_callback
            Called after each input with how many are done, and of how many.
        **kwargs
            `key`, the input's name in the result, instead of the file's stem (in a list files keep theirs, as in
            FunASR), and the arguments of the model.

        Raises
        ------
        InputError
            For the first input that cannot be used.
        UsageError
            For an argument that would change an answer in FunASR and is not done here, or that looks misspelled.

        Warns
        -----
        IgnoredArgumentWarning
            For an argument that FunASR ignores too, the first time that it is given.
        """
        return self._adapter.generate(input, progress_callback, {"input_len": input_len, **kwargs})


class _AdapterClass(Protocol):
    """A class of adapters. `given`: arguments of `AutoModel`; `options`: those that every pipeline has."""

    def __call__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> ModelAdapter: ...


def _adapter_of(checkpoint: Checkpoint) -> _AdapterClass:
    role = role_of(checkpoint.kind)
    if role == "emotion":
        from overtone.compat.emotion import EmotionAdapter

        return EmotionAdapter
    if role == "live":
        from overtone.compat.streaming import StreamingAdapter

        return StreamingAdapter
    if role == "vad":
        from overtone.compat.vad import VadAdapter

        return VadAdapter
    if role == "punctuation":
        from overtone.compat.punctuation import PunctuationAdapter

        return PunctuationAdapter
    if role == "speakers":
        from overtone.compat.speaker import SpeakerAdapter

        return SpeakerAdapter
    check_role(checkpoint, "recognizer")
    from overtone.compat.recognition import RecognitionAdapter

    return RecognitionAdapter
