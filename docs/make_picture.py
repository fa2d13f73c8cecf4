"""Writes docs/assets/timeline.png: what `overtone emotion examples/call.mp3 --plot` draws, in fewer colors.

python docs/make_picture.py

The timeline that it shows is kept in the file, as text, so that a test can tell whether it is still the answer.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from PIL import Image, PngImagePlugin

from overtone.cli.app import run

PICTURE = Path(__file__).parent / "assets" / "timeline.png"
CALL = Path(__file__).parents[1] / "examples" / "call.mp3"
SHOWS = "Timeline"
"""Where in the file the timeline stands: `[[start, end, label], …]`."""

_COLORS = 64


def timeline(record: Path) -> list[list[object]]:
    """Start, end and label of each segment of the first record of a file of JSON lines."""
    with record.open(encoding="utf-8") as lines:
        segments = json.loads(next(lines))["segments"]
    return [[segment["start"], segment["end"], segment["label"]] for segment in segments]


def make(picture: Path) -> None:
    """Run the command, and write its picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = folder / "out.jsonl"
        arguments = ["emotion", str(CALL), "--plot", str(folder), "-o", str(records), "--quiet"]
        if code := run(arguments):
            sys.exit(code)
        shown = PngImagePlugin.PngInfo()
        shown.add_text(SHOWS, json.dumps(timeline(records)))
        with Image.open(folder / "call.png") as drawn:
            few = drawn.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
        picture.parent.mkdir(exist_ok=True)
        few.save(picture, optimize=True, pnginfo=shown)


if __name__ == "__main__":
    make(PICTURE)
