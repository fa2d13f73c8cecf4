"""Options: what there is to set, frozen, and checked when made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from overtone.errors import UsageError
from overtone.options.check import check_names, check_ranges, check_types, help_of, option
from overtone.system.documents import shown
from overtone.system.memory import parse_size
from overtone.types import SAMPLE_RATE, Granularity
from overtone.wording import param

_Options = TypeVar("_Options", bound="Options")  # typing.Self needs Python 3.11

Precision = Literal["fp32", "tf32", "bf16", "fp16", "int8"]
BackendName = Literal["auto", "openvino", "torch"]
SegmentMode = Literal["vad", "window", "none"]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a recognizer, frozen and checked when made.

    Seconds are seconds of audio; None leaves the choice to Overtone.

    Attributes
    ----------
    model
        `tiny`, an alias, a hub id or a checkpoint folder.
    hub
        Hub on which ids are looked up: `hf` (Hugging Face) or `ms` (ModelScope).
    memory
        Budget of the whole process (of the device, on a GPU), as `2GiB` or bytes; None takes the free memory, less a
        margin.
    device
        `auto`, `cpu`, `cuda:N`, several of them joined by commas, or `cuda:all`.
    precision
        None is the precision that a converted model was made in, else `fp32`, which is exact; the others are faster,
        and `overtone models convert` measures what they cost.
    backend
        `auto` is OpenVINO on a CPU and PyTorch on CUDA.
    threads
        Threads of the model on a CPU; None takes the cores that this process may use.
    decoders
        Sources decoded at once.
    decode
        `processes`: files are decoded in processes, which one that breaks FFmpeg ends alone; `threads`: within this
        process, for files that are trusted.
    segment
        `vad` cuts audio longer than `max_segment` where speech pauses; `window` cuts `window` seconds every `hop`;
        `none` runs a file whole.
    vad
        What finds speech, and by that silence: `silero`, which is inside the package, or `none`, which leaves it to
        the level.
    max_segment
        Longest segment of `vad`, in seconds.
    window
        Seconds of a window.
    hop
        Seconds from one window to the next; None is `window`, so that none overlap.
    context
        `segment` is attention within a segment; `full`, over the whole file, is `segment="none"` by its other name.
    keep_silence
        Run the model on silence too, as FunASR does.
    channels
        `mix` is the mean of all channels; `split` gives a result for each.
    audio_track
        Number of the audio track to use, counted from 0 among the audio tracks of a file; None takes the one that
        FFmpeg holds for the best.
    granularity
        Detail of the answer: `utterance`, `segment`, or `frame`, which keeps every frame.
    labels
        `english`, or `published` as in the checkpoint.
    batch_size_s
        Most padded seconds in a batch of several segments; a longer segment runs alone.
    batch_size_threshold_s
        Segments longer than this many seconds run alone.
    ignore_unknown_tensors
        Load a checkpoint that holds more than the network knows.
    offload
        Keep part of the network on the CPU where the GPU cannot hold it; each batch then moves it over.

    Raises
    ------
    UsageError
        A value of another type or out of its range, or two options at odds.

    Examples
    --------
    >>> from overtone import Options
    >>> options = Options(memory="2GiB", segment="window", window=2.0)
    >>> options.memory_bytes, options.replace(hop=1.0).hop
    (2147483648, 1.0)
    """

    model: str = option("tiny", "tiny, an alias (see `overtone models list`), a hub id, or a checkpoint folder.")
    hub: Literal["hf", "ms"] = option("hf", "Where hub ids are looked up: hf (Hugging Face) or ms (ModelScope).")
    memory: str | int | None = option(
        None, "Budget of the whole process, or of each GPU: 2GiB, 512MB. Default: most of what is free."
    )
    device: str = option("auto", "auto, cpu, cuda:N, several (cuda:0,cuda:1), or cuda:all.")
    precision: Precision | None = option(
        None, "fp32; bf16, int8 on a CPU; tf32, bf16, fp16 on CUDA. Default: fp32, or a converted model's own."
    )
    backend: BackendName = option(
        "auto", "What runs the model: openvino on a CPU, torch on CUDA; torch runs on a CPU too."
    )
    threads: int | None = option(
        None, "Threads of the model on a CPU. Default: the cores this process may use.", range=(1, 1024)
    )
    decoders: int | None = option(None, "Files decoded at once. Default: up to 4.", range=(1, 256))
    decode: Literal["processes", "threads"] = option(
        "processes",
        "processes: a file that breaks FFmpeg ends only its own decoding; threads: of this process, for trusted files.",
    )
    segment: SegmentMode = option(
        "vad", "vad: cut long audio where speech pauses; window: a fixed grid; none: run files whole."
    )
    vad: str = option(
        "silero", "What finds speech: silero (inside this package); none: all is speech but what is silent by level."
    )
    max_segment: float = option(
        30.0, "Longest segment of vad, in seconds; shorter audio is not cut.", range=(1.0, 600.0)
    )
    window: float = option(4.0, "Seconds of a window, with --segment window.", range=(0.1, 600.0), emotion_only=True)
    hop: float | None = option(
        None,
        "Seconds from one window to the next. Default: the window, so that none overlap.",
        range=(0.02, 600.0),
        emotion_only=True,
    )
    context: Literal["segment", "full"] = option(
        "segment",
        "segment: attention within a segment; full: over the whole file, in linear memory.",
        emotion_only=True,
    )
    keep_silence: bool = option(False, "Judge silence too, instead of reporting it as silence.", emotion_only=True)
    channels: Literal["mix", "split"] = option("mix", "mix: the mean of all channels; split: a result for each.")
    audio_track: int | None = option(
        None, "Audio track of each file, counted from 0 (overtone info). Default: FFmpeg's best.", range=(0, 999)
    )
    granularity: Granularity = option(
        "segment", "utterance: one answer a file; segment: and its timeline; frame: and every 20 ms.", emotion_only=True
    )
    labels: Literal["english", "published"] = option(
        "english", "english, or published as in the checkpoint (生气/angry).", emotion_only=True
    )
    batch_size_s: float | None = option(
        None,
        "Most padded seconds in a batch of several, on top of what memory allows; a longer segment runs alone.",
        range=(1.0, 1e6),
    )
    batch_size_threshold_s: float | None = option(
        None, "Segments longer than this many seconds run alone.", range=(0.0, 1e6)
    )
    ignore_unknown_tensors: bool = option(False, "Load a checkpoint that holds tensors the network does not know.")
    offload: bool = option(
        False,
        "Keep part of a model that its GPU cannot hold on the CPU: slower, as each batch moves it over.",
        emotion_only=True,
    )

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        if self.hop is not None and self.hop > self.window:
            raise UsageError(
                f"{param('hop', self.hop)} is longer than {param('window', self.window)}; audio would be skipped."
            )
        if self.memory is not None:
            try:
                parse_size(self.memory)
            except UsageError as error:
                raise UsageError(f"{param('memory')}: {error.template}") from None
        self._check_vad()

    def _check_vad(self) -> None:
        """UsageError for a speech detector that there is not for this task."""
        if self.vad not in INSIDE:
            raise UsageError(
                f"{param('vad')} is {shown(self.vad)}; for emotion it can be {', '.join(INSIDE)}: other detectors cut "
                "speech for transcription."
            )

    @property
    def whole(self) -> bool:
        """True if files run uncut."""
        return self.context == "full" or self.segment == "none"

    @property
    def memory_bytes(self) -> int | None:
        """The budget in bytes, if one was given."""
        return None if self.memory is None else parse_size(self.memory)

    @property
    def longest_s(self) -> float:
        """Longest segment that cutting gives, in seconds."""
        return self.window + SHORTEST_TAIL_S if self.segment == "window" else self.max_segment

    @property
    def longest_samples(self) -> int:
        """The same in samples."""
        return round(self.longest_s * SAMPLE_RATE)

    def for_call(self: _Options, **changes: Any) -> _Options:
        """A copy with some of the options that a single call may change (`PER_CALL`).

        UsageError for any other, and for segments longer than the model was loaded for.
        """
        may_set = self.per_call
        check_names(changes, self.names())
        if fixed := next((name for name in changes if name not in may_set), None):
            may = ", ".join(may_set)
            raise UsageError(f"{param(fixed)} is settled when the model is loaded; a call may set: {may}.")
        made = dataclasses.replace(self, **changes)
        if made.whole and not self.whole:
            raise UsageError(
                f"{param('segment', 'none')} (whole files) is settled when the model is loaded; start with it."
            )
        if made.longest_s > self.longest_s and not self.whole:
            name = "window" if made.segment == "window" else "max_segment"
            raise UsageError(
                f"{param(name)} makes segments of up to {made.longest_s:g} s, and the model was loaded for "
                f"{self.longest_s:g} s; give less, or load it with a longer {param('max_segment')}."
            )
        return made

    def replace(self: _Options, **changes: Any) -> _Options:
        """A copy with some options changed. UsageError for one that does not exist."""
        check_names(changes, _fields(self))
        return dataclasses.replace(self, **changes)

    @property
    def per_call(self) -> tuple[str, ...]:
        """Names of the options that a single call may change."""
        return PER_CALL

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the options there are to set."""
        return _fields(cls)


def _fields(options: Options | type[Options]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(options))


SILERO, NO_VAD = "silero", "none"
"""Values of `vad` that need no other model: the detector inside the package, and none at all."""

INSIDE = (SILERO, NO_VAD)

SHORTEST_TAIL_S = 0.5
"""A remainder shorter than this is joined to the window before it: too little to judge alone."""

PER_CALL = (
    "segment",
    "vad",
    "max_segment",
    "window",
    "hop",
    "keep_silence",
    "channels",
    "audio_track",
    "granularity",
    "labels",
)
"""Options that need no other model, plan or thread, so that each call may have its own."""

HELP: Mapping[str, str] = help_of(Options)
"""One line for each option, shown by `--help`."""
