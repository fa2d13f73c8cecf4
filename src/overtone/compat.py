"""FunASR's `AutoModel` for emotion models: same call, same results, so that a script changes one import.

    from overtone.compat import AutoModel

    model = AutoModel(model="iic/emotion2vec_plus_large")
    model.generate("a.wav", granularity="utterance", extract_embedding=False)

As in FunASR a file runs whole, silence is judged like anything else, and labels are as published. Unlike in FunASR,
memory is linear in the length, a list is batched without changing an answer, models come from the Hugging Face Hub
unless hub="ms", and an argument that would change an answer there and not here is refused by name.
"""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.audio import Readable
from overtone.emotion import EmotionRecognizer
from overtone.errors import InputError, UsageError
from overtone.values import SAMPLE_RATE, Audio, EmotionResult, Granularity

Result = dict[str, Any]

_IGNORED = frozenset(
    [
        "disable_update",
        "disable_pbar",
        "disable_log",
        "log_level",
        "trust_remote_code",
        "seed",
        "batch_size",
        "batch_size_s",
        "batch_size_threshold_s",
    ]
)
"""Arguments of FunASR that change no answer and have nothing to change here: batches are made to fit the memory."""

_LATER = frozenset(
    [
        "vad_model",
        "vad_kwargs",
        "punc_model",
        "punc_kwargs",
        "spk_model",
        "spk_kwargs",
        "vad_model_revision",
        "punc_model_revision",
    ]
)

_LISTS = (".scp", ".txt", ".jsonl")


class AutoModel:
    """See the module. model: as FunASR names it, or a folder.

    device: `cuda`, `cuda:0`, `cpu`; None takes what is there. hub: `ms` or `hf`. ncpu: threads on a CPU. memory:
    Overtone's budget. UsageError for an unknown argument, and the errors of `EmotionRecognizer`.
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
        _refuse(kwargs, "AutoModel")
        hubs = {"hf": "hf", "huggingface": "hf", "ms": "ms", "modelscope": "ms"}
        if hub not in hubs:
            raise UsageError(f"hub={hub!r} is not known; use 'ms' or 'hf'.")
        self._recognizer = EmotionRecognizer(
            model,
            hub=hubs[hub],
            device={None: "auto", "cuda": "cuda:0"}.get(device, device),
            threads=ncpu,
            memory=memory,
            context="full",
            keep_silence=True,
            labels="published",
        )
        self.model_path = str(self._recognizer.runtime.network.folder)

    def close(self) -> None:
        """Free the model. Dropping the last reference does the same."""
        self._recognizer.close()

    def generate(
        self,
        input: Any,
        *,
        granularity: str = "utterance",
        extract_embedding: bool = True,
        output_dir: str | os.PathLike[str] | None = None,
        fs: int = SAMPLE_RATE,
        key: str | None = None,
        progress_callback: Callable[[int, int], None] | None = None,
        **kwargs: Any,
    ) -> list[Result]:
        """One dictionary for each input: `key`, `labels`, `scores`, and `feats` with `extract_embedding`.

        input: a path; a `wav.scp`, `.txt` or `.jsonl` list; an array of samples at `fs` Hz (float, or int16); bytes of
        a file or of int16 samples; or a list of these. `scores` are those of the whole input, also with
        granularity="frame", where `feats` has a row of (dim,) for each 20 ms; with "utterance" it is their mean.
        key: the input's name in the result, instead of the file's stem; in a list files keep theirs, as in FunASR.
        output_dir: where `<key>.npy` with the same is written.
        Raises InputError for the first input that cannot be used.
        """
        _refuse(kwargs, "generate")
        if granularity not in ("utterance", "frame"):
            raise UsageError(f"granularity={granularity!r} is not known; use 'utterance' or 'frame'.")
        named = list(_named(input, key, fs))
        fine: Granularity = "frame" if granularity == "frame" else "utterance"
        results: list[Result] = []
        for result in self._recognizer.stream((source for _, source in named), granularity=fine):
            if result.error is not None:
                raise result.error
            results.append(self._as_funasr(result, named[len(results)][0], extract_embedding, output_dir))
            if progress_callback is not None:
                progress_callback(len(results), len(named))
        return results

    def _as_funasr(
        self, result: EmotionResult, key: str, wanted: bool, output_dir: str | os.PathLike[str] | None
    ) -> Result:
        scores = result.scores or {}
        record: Result = {"key": key, "labels": list(self._recognizer.labels), "scores": list(scores.values())}
        if wanted or not scores:
            feats = result.frames.embeddings.numpy() if result.frames else result.embedding
            record["feats"] = feats
            if output_dir is not None and feats is not None:
                folder = Path(output_dir)
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{Path(key).name}.npy", feats)
        return record


def _refuse(kwargs: dict[str, Any], where: str) -> None:
    for name, value in kwargs.items():
        if name == "model_revision":
            if value not in (None, "master", "main"):
                raise UsageError(f"{where}(model_revision={value!r}): the newest is fetched; else give a folder.")
            continue
        if name in _LATER:
            if value is not None:
                raise UsageError(f"{where}({name}=…) is for speech recognition; emotion models have no use for it.")
        elif name not in _IGNORED:
            raise UsageError(f"{where}() has no argument {name!r}; overtone.compat says what there is.")


def _named(input: Any, key: str | None, fs: int) -> Iterator[tuple[str, Readable]]:
    """Every input with its key, as FunASR names them (`funasr.auto.auto_model.prepare_data_iterator`).

    Of a single input: `key`, else a file's stem, else random. In a list: a file's stem, whatever `key` is; anything
    else has the key of the file before it, or `key`. Where FunASR gives several samples one random key, each has its
    own here, so that none is saved over another.
    """
    if isinstance(input, list | tuple):
        for item in input:
            if isinstance(item, str | os.PathLike) and os.path.exists(item):
                key = Path(item).stem
            yield from _named(item, key, fs)
    elif isinstance(input, str | os.PathLike):
        path = os.fspath(input)
        if path.lower().endswith(_LISTS) and os.path.isfile(path):
            yield from _listed(path)
        else:
            yield key or Path(path).stem, path
    else:
        yield key or _random_key(), _samples(input, fs)


def _listed(path: str) -> Iterator[tuple[str, Readable]]:
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        if path.endswith(".jsonl"):
            try:
                entry = json.loads(line)
                yield str(entry.get("key") or _random_key()), str(entry["source"])
            except (ValueError, KeyError, AttributeError) as error:
                raise InputError(
                    f"{path}: line {number} is no JSON object with a 'source'.", code="bad_list"
                ) from error
        else:
            words = line.split(maxsplit=1)
            yield (words[0], words[1].strip()) if len(words) == 2 else (_random_key(), words[0])


def _samples(input: Any, fs: int) -> Readable:
    if isinstance(input, bytes):
        return input if _is_file(input) else Audio(_floats(np.frombuffer(input[: len(input) & ~1], np.int16)), fs)
    if hasattr(input, "detach"):
        input = input.detach().cpu().numpy()
    if isinstance(input, np.ndarray):
        return Audio(_floats(input), fs)
    if hasattr(input, "read"):
        if hasattr(input, "seek"):
            input.seek(0)
        return input  # type: ignore[no-any-return] # an open binary file
    raise UsageError(
        f"generate() cannot read a {type(input).__name__}; give a path, samples, bytes, or a list of them."
    )


def _floats(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples


def _is_file(data: bytes) -> bool:
    """Whether bytes are a file of a format that names itself; FunASR takes any others for int16 samples."""
    marks: Sequence[bytes] = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b"\x1aE\xdf\xa3", b"RF64", b"caff", b"#!AMR")
    return data.startswith(tuple(marks)) or data[4:8] == b"ftyp" or data[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf1")


def _random_key() -> str:
    letters = string.ascii_letters + string.digits
    return "rand_key_" + "".join(secrets.choice(letters) for _ in range(13))
