"""Results to files: `open_sink` picks the writer, by the ending of the file or by name.

    .jsonl one record per line (the form that resumes)    .srt .vtt  subtitles
    .json  one array of records                           .txt       Audacity labels
    .csv .parquet  rows, one per input, segment or frame  .rttm      NIST RTTM

All but .jsonl appear under their name only when closed; until then they end in `.part`.
"""

from overtone.formats.names import Names, base_name
from overtone.formats.opening import FORMATS, already_there, open_sink
from overtone.formats.sink import Sink

__all__ = ["FORMATS", "Names", "Sink", "already_there", "base_name", "open_sink"]
