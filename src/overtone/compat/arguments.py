"""Arguments of FunASR's calls: those that are heeded, those that are ignored, as there, and those refused by name."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.hub import Hub


class IgnoredArgumentWarning(UserWarning):
    """Warning about an argument of `AutoModel` or its `generate` that has no effect, in FunASR or here.

    Each `AutoModel` gives it once for each name. A script that is to fail instead, or to say nothing, filters it:

    >>> import warnings
    >>> from overtone.compat import IgnoredArgumentWarning
    >>> warnings.simplefilter("ignore", IgnoredArgumentWarning)
    """


_MET: Mapping[str, tuple[Any, ...] | None] = {
    "batch_size": None,
    "batch_size_s": None,
    "batch_size_threshold_s": None,
    "check_latest": None,
    "data_type": ("sound", "text"),
    "disable_log": None,
    "disable_pbar": None,
    "disable_update": None,
    "ignore_init_mismatch": None,
    "return_time_stamps": None,
    "seed": None,
}
"""Arguments of which nothing is left to do, and the values for which that is so; None for any. Batches are made to fit
the memory, nothing is drawn at random, there is no bar of progress, and no code of a model's folder is ever run."""

_REFUSED = frozenset(
    [
        *("begin_time", "bf16", "cb_kwargs", "config", "data_type", "decoding_ctc_weight", "excludes", "fp16"),
        *("frontend", "frontend_conf", "init_param", "input_len", "jieba_usr_dict", "lm_weight", "model_conf"),
        *("output_dir", "postprocess_hotword_file", "postprocess_hotwords", "pred_timestamp", "punc_model"),
        *("return_postprocess_hotword_matches", "scope_map", "seg_dicts", "spk_model", "split_size", "token_list"),
        *("token_lists", "tokenizer", "tokenizer_conf", "vad_indexes", "vad_model", "vocab_size"),
    ]
)
"""Arguments that change what FunASR answers or writes, and are not done here. So are those that a `config.yaml` has:
FunASR's arguments win over it."""

_IGNORED = frozenset(
    [
        *("ban_emo_unk", "beam_size", "cache", "cache_dir", "chunk_size", "decoder_attention_chunk_type"),
        *("decoder_chunk_look_back", "decoding_ind", "device", "dtype", "en_post_proc", "encoder_chunk_look_back"),
        *("extract_embedding", "fs", "granularity", "hotword", "hotwords", "hub", "is_final", "is_training", "itn"),
        *("key", "language", "lm_file", "log_level", "max_end_silence_time", "max_single_segment_time"),
        *("maxlenratio", "merge_length_s", "merge_vad", "minlenratio", "model_path", "model_revision", "nbest"),
        *("ncpu", "ngpu", "ngram_weight", "oss_bucket", "output_timestamp", "penalty", "postprocess_hotword_fuzzy"),
        *("postprocess_hotword_threshold", "preset_spk_num", "punc_kwargs", "punc_model_revision", "quantize"),
        *("remote_code", "return_raw_text", "return_spk_center", "return_spk_res", "sentence_timestamp"),
        *("spk_kwargs", "spk_mode", "spk_model_revision", "text_norm", "trust_remote_code", "type", "use_itn"),
        *("vad_kwargs", "vad_model_revision"),
    ]
)
"""Arguments that FunASR has, for other models, for its other calls or in its past, so that they are no mistake."""

_HUBS: Mapping[str, Hub] = {"hf": "hf", "huggingface": "hf", "ms": "ms", "modelscope": "ms"}

_ALIKE = 0.85
"""Least likeness of an argument that is not known to one that is, from which on it is taken for a slip."""


class Arguments:
    """The arguments of one `AutoModel` and of its calls, warned of once each."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def heeded(
        self,
        given: Mapping[str, Any],
        where: str,
        known: Collection[str] = (),
        *,
        checkpoint: Checkpoint | None = None,
    ) -> dict[str, Any]:
        """The arguments that are known, in their order.

        where: the call, in messages. known: those that this model heeds. checkpoint: the model, whose `config.yaml`
        FunASR's arguments win over.

        Gives an `IgnoredArgumentWarning` for one that FunASR ignores too. UsageError for one that would change
        something there and is not done here, and for one that looks like another's name misspelled.
        """
        for name, value in given.items():
            if name not in known:
                self._check(name, value, where, known, checkpoint)
        return {name: given[name] for name in known if name in given}

    def warn(self, name: str, text: str) -> None:
        """Warn of an argument, once. The warning points at the line of the script that made the call."""
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(text, IgnoredArgumentWarning, stacklevel=_script_level())

    def _check(self, name: str, value: Any, where: str, known: Collection[str], checkpoint: Checkpoint | None) -> None:
        if name in _MET and _allows(_MET[name], value):
            return
        if name in (_REFUSED | _IGNORED) and _is_nothing(value):
            return
        if name in _REFUSED:
            raise UsageError(f"{where}({name}={value!r}) is not done here; leave it out.")
        if (own := _setting(checkpoint, name)) is not _NONE:
            if value != own:
                raise UsageError(
                    f"{where}({name}={value!r}): a model is taken as its config.yaml has it ({own!r}); change it there."
                )
            return
        if name not in _IGNORED:
            candidates = sorted({*known, *_IGNORED, *_MET, *_REFUSED})
            if close := difflib.get_close_matches(name, candidates, 1, _ALIKE):
                raise UsageError(f"{where}() has no argument {name!r}; {close[0]!r} is one. FunASR would ignore it.")
        self.warn(name, f"{where}({name}=…) has no effect with this model, as in FunASR; it is ignored.")


class _Nothing:
    """The type of `_NONE`."""


_NONE = _Nothing()


def _setting(checkpoint: Checkpoint | None, name: str) -> Any:
    """A setting of `config.yaml` that FunASR would replace by an argument of this name; `_NONE` where it has none."""
    if checkpoint is None:
        return _NONE
    conf = checkpoint.config.get("model_conf")
    own = conf[name] if isinstance(conf, Mapping) and name in conf else _NONE
    return checkpoint.config.get(name, own)


def _is_nothing(value: Any) -> bool:
    """True for a value that asks for nothing: None, False, 0, and an empty one."""
    return value is None or (isinstance(value, bool | int | float | str | list | tuple | dict) and not value)


def _allows(values: tuple[Any, ...] | None, value: Any) -> bool:
    """True for one of these values, of the same type, and for any where there are none to choose from."""
    return values is None or any(type(value) is type(one) and value == one for one in values)


def _script_level() -> int:
    """Frames from `warnings.warn` in the caller to the first that is none of Overtone's own, as it counts them."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("overtone."):
        frame, level = frame.f_back, level + 1
    return level


def hub_of(hub: str) -> Hub:
    """A hub by any of its names."""
    if hub not in _HUBS:
        raise UsageError(f"hub={hub!r} is not known; use 'ms' or 'hf'.")
    return _HUBS[hub]


def whole_number(name: str, value: Any, *, minimum: int) -> int:
    """A number as an argument. UsageError where it is none, or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise UsageError(f"{name}={value!r}: a whole number from {minimum} on is meant.")
    return value
