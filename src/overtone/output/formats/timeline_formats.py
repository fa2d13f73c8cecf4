"""The timeline as text that players and people read: SRT, WebVTT, Audacity labels, plain text.

All write the segments with speech, or the sentences, whatever the granularity. Silence is the gap between two
entries; a failed input has none.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from overtone.errors import UsageError
from overtone.output.formats.output_file import Place, Target
from overtone.output.formats.sink import TextSink
from overtone.output.formats.subtitles import Cue, cues, labelled_stretches, named, single_line, speaker_name
from overtone.output.records import expect_type
from overtone.output.times import clock
from overtone.results import EmotionResult, Result, Transcript


class TimelineSink(TextSink):
    """Sink of a file that can hold one input's timeline. No timeline, no file."""

    form = ""
    header = ""

    def __init__(self, path: Place) -> None:
        super().__init__(Target(path))
        self._count = 0

    def write(self, result: Result) -> None:
        """Add the timeline of the one result. UsageError for a second."""
        if not result.ok:
            return
        if self._count:
            raise UsageError(single_input_error_text(self.form, self._target.name))
        super().write(result)
        self._count += 1

    def close(self) -> None:
        """Finish the file, or leave none if there was nothing to write."""
        if self._count:
            self._target.close()
        else:
            self._target.abort()

    def _put(self, result: Result) -> None:
        self._target.write(self.header)
        for entry in self._entries(result):
            self._target.write(entry)

    @abstractmethod
    def _entries(self, result: Result) -> Iterator[str]: ...


class Srt(TimelineSink):
    """SubRip subtitles. The format has no escapes, so `<unk>`, which players eat as a tag, becomes `‹unk›`."""

    form = "srt"

    def _entries(self, result: Result) -> Iterator[str]:
        for index, cue in enumerate(cues(result), start=1):
            text = (named(cue.speaker) + cue.text).replace("<", "‹").replace(">", "›").replace(" \n", "\n")
            yield f"{index}\n{_times(cue, ',')}\n{text}\n\n"


class Vtt(TimelineSink):
    """WebVTT subtitles, with the speaker as their voice."""

    form = "vtt"
    header = "WEBVTT\n\n"

    def _entries(self, result: Result) -> Iterator[str]:
        for cue in cues(result):
            voice = "" if cue.speaker is None else f"<v {speaker_name(cue.speaker)}>"
            text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            yield f"{_times(cue, '.')}\n{voice}{text}\n\n"


class AudacityLabels(TimelineSink):
    """An Audacity label track: start, end in seconds with six decimals, and label, with tabs between."""

    form = "txt"

    def _entries(self, result: Result) -> Iterator[str]:
        for label, segment in labelled_stretches(expect_type(result, EmotionResult)):
            yield f"{segment.span.start_s:.6f}\t{segment.span.stop_s:.6f}\t{label}\n"


class PlainText(TimelineSink):
    """The text of a transcript, a line for each sentence, after its speaker's name where that is known."""

    form = "txt"

    def _entries(self, result: Result) -> Iterator[str]:
        for sentence in expect_type(result, Transcript).sentences:
            if text := single_line(sentence.text):
                yield f"{named(sentence.speaker)}{text}\n"


def single_input_error_text(form: str, name: str) -> str:
    """Message for several inputs that do not fit one file of a form, with the remedy."""
    return (
        f"{name}: .{form} holds the timeline of one input only. For several inputs or channels "
        f"write one file each, with -o 'folder/{{name}}.{form}', or use .jsonl, .csv or .rttm."
    )


def _times(cue: Cue, mark: str) -> str:
    return " --> ".join(clock(ms / 1000, 3, mark=mark, padded=True) for ms in (cue.start_ms, cue.end_ms))
