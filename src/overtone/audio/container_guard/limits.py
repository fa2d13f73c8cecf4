"""Limits on what a header may hold. No recording in good faith comes near them."""

from __future__ import annotations

TAG_BYTES = 4 << 20
"""Bytes of one tag, or of one block of them, that FFmpeg is shown. It keeps each in memory, some of them twice."""

TAG_COUNT = 1000
"""Tags in one block that FFmpeg is shown: it compares each with all before it."""

SIMPLE_TAGS = 200
"""The same for Matroska, where FFmpeg's time grows with the cube: 8 ms for so many, 8 s for 2000."""

PICTURES = 32
"""Pictures in a FLAC file that FFmpeg is shown: it makes a stream of each."""

COMMENT_BYTES = 16 << 20
"""Bytes of the comments of an Ogg stream, which are a packet and can only be refused. A cover of 12 MB fits."""

HARMLESS = 65_536
"""Entries that any table may claim: at 24 bytes each, FFmpeg's largest, 1.5 MiB."""

HARMLESS_SAMPLES = 1_000_000
"""Samples that a track may claim though the file is cut too short for them: six hours of AAC, 24 MB in FFmpeg."""

MOST_SAMPLES = 1 << 24
"""Samples that a track may claim where the size of a file is not known: four days of AAC."""

EDITED_SAMPLES = 1 << 24
"""Edits of a track times its samples: FFmpeg may list each sample once for each edit. Eight edits are never refused."""

EDITS = 8

FRAGMENTS = 1000
"""Fragments of an MP4 that are looked at; FFmpeg reads later ones as it comes to them."""

PARTS = 100_000
"""Parts of a header that are looked at. An audiobook with chapters has some hundreds."""
