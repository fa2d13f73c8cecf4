"""Results to files: `open_sink` picks the writer, by the ending of the file or by name.

    .jsonl one record per line (a run goes on with it)    .srt .vtt  subtitles
    .json  one array of records                           .txt       Audacity labels, or plain text
    .csv .parquet  rows: inputs, segments, sentences, …   .rttm      NIST RTTM

Emotions and transcripts go through the same sinks; the granularity (`records.Level`) says which of them come.
All but .jsonl appear under their name only when closed; until then they end in `.part`.
"""

from overtone.output.formats.file_names import OutputNames, base_name
from overtone.output.formats.open_sink import (
    FORMATS,
    appends,
    check_sink,
    existing_output,
    name_of_all,
    open_sink,
)
from overtone.output.formats.sink import Sink

__all__ = [
    "FORMATS",
    "OutputNames",
    "Sink",
    "appends",
    "base_name",
    "check_sink",
    "existing_output",
    "name_of_all",
    "open_sink",
]
