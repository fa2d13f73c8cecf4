"""The timeline as text that players and annotation tools show: SRT, WebVTT, Audacity labels, RTTM.

All write the segments with speech, whatever the granularity. Silence is the gap between two entries;
a failed input has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from overtone.errors import UsageError
from overtone.formats.names import Names
from overtone.formats.sink import TextSink
from overtone.formats.target import Target
from overtone.record import rounded
from overtone.values import SAMPLE_RATE, SILENCE, EmotionResult, SegmentResult


def timestamp(milliseconds: int, mark: str) -> str:
    """`HH:MM:SS` and thousands after `mark`; more than two digits of hours where needed."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{rest:03d}"


def cues(result: EmotionResult) -> Iterator[tuple[str, SegmentResult]]:
    """Label and segment of each stretch of speech that has a label; the label on one line."""
    for segment in result.segments:
        if segment.label is not None and segment.label != SILENCE:
            yield " ".join(segment.label.split()), segment


class TimelineSink(TextSink):
    """A file that can hold one input's timeline. No timeline, no file."""

    form = ""
    header = ""

    def __init__(self, path: str | None) -> None:
        super().__init__(Target(path))
        self._count = 0

    def write(self, result: EmotionResult) -> None:
        """Add the timeline of the one result. UsageError for a second."""
        if not result.ok:
            return
        if self._count:
            raise UsageError(many_message(self.form, self._target.name))
        super().write(result)
        self._count += 1

    def close(self) -> None:
        """Finish the file, or leave none if there was nothing to write."""
        if self._count:
            self._target.close()
        else:
            self._target.discard()

    def _put(self, result: EmotionResult) -> None:
        self._target.write(self.header)
        for index, (label, segment) in enumerate(cues(result), start=1):
            self._target.write(self._cue(index, label, segment))

    def _cue(self, index: int, label: str, segment: SegmentResult) -> str:
        raise NotImplementedError


class Srt(TimelineSink):
    """SubRip subtitles. It has no escapes, so `<unk>`, which players eat as a tag, becomes `‹unk›`."""

    form = "srt"

    def _cue(self, index: int, label: str, segment: SegmentResult) -> str:
        text = _with_score(label, segment).replace("<", "‹").replace(">", "›")
        return f"{index}\n{_times(segment, ',')}\n{text}\n\n"


class Vtt(TimelineSink):
    """WebVTT subtitles."""

    form = "vtt"
    header = "WEBVTT\n\n"

    def _cue(self, index: int, label: str, segment: SegmentResult) -> str:
        text = _with_score(label, segment)
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{_times(segment, '.')}\n{text}\n\n"


class AudacityLabels(TimelineSink):
    """An Audacity label track: start, end in seconds with six decimals, and label, with tabs between."""

    form = "txt"

    def _cue(self, index: int, label: str, segment: SegmentResult) -> str:
        return f"{segment.span.start_s:.6f}\t{segment.span.stop_s:.6f}\t{label}\n"


class Rttm(TextSink):
    """NIST RTTM lines of all inputs; the label stands where the speaker's name would.

    The file field is the input's id or the stem of its name, `-2` after it for a second input of that stem.
    Fields hold no blanks; those in names and labels become `_`. Channels count from 1.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__(Target(path))
        self._names = Names()

    def _put(self, result: EmotionResult) -> None:
        if not result.ok:
            return
        name = self._names.of_source(result)
        channel = 1 if result.channel is None else result.channel + 1
        for label, segment in cues(result):
            start, length = segment.span.start_s, len(segment.span) / SAMPLE_RATE
            score = rounded(segment.score)
            shown = "<NA>" if score is None else f"{score:.6f}"
            self._target.write(
                f"SPEAKER {name} {channel} {start:.3f} {length:.3f} <NA> <NA> {label.replace(' ', '_')} {shown} <NA>\n"
            )


def many_message(form: str, name: str) -> str:
    """Why several inputs do not fit one file of a form, and what to do."""
    return (
        f"{name}: .{form} holds the timeline of one input only. For several inputs or channels "
        f"write one file each, with -o 'folder/{{name}}.{form}', or use .jsonl, .csv or .rttm."
    )


def _milliseconds(samples: int) -> int:
    return (samples * 1000 + SAMPLE_RATE // 2) // SAMPLE_RATE


def _times(segment: SegmentResult, mark: str) -> str:
    start, end = _milliseconds(segment.span.start), _milliseconds(segment.span.stop)
    # Both forms want a cue to end after it starts.
    return f"{timestamp(start, mark)} --> {timestamp(max(end, start + 1), mark)}"


def _with_score(label: str, segment: SegmentResult) -> str:
    score = rounded(segment.score)
    return label if score is None else f"{label} {score:.2f}"
