"""Writes docs/assets/timeline.png: what `overtone emotion examples/call.mp3 --plot` draws, in fewer colors.

python docs/make_picture.py

The answer that it shows is kept in the file, as text, so that a test can tell whether it is still the answer.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from overtone.cli.app import run

PICTURE = Path(__file__).parent / "assets" / "timeline.png"
CALL = Path(__file__).parents[1] / "examples" / "call.mp3"
SHOWS = "Timeline"
"""Where in the file the timeline stands: `[[start, end, label], …]`."""

VERDICT = "Verdict"
"""Where the label, its score and the shares stand, as far as they are drawn: `[label, "0.42", {label: "42%", …}]`."""

_COLORS = 64


def timeline(record: dict[str, Any]) -> list[list[object]]:
    """Start, end and label of each segment of a record."""
    return [[segment["start"], segment["end"], segment["label"]] for segment in record["segments"]]


def verdict(record: dict[str, Any]) -> list[object]:
    """Label, score and shares of a record."""
    shares = {label: f"{share:.0%}" for label, share in record["shares"].items()}
    return [record["label"], f"{record['score']:.2f}", shares]


def make(picture: Path) -> None:
    """Run the command, and write its picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = folder / "out.jsonl"
        arguments = ["emotion", str(CALL), "--plot", str(folder), "-o", str(records), "--quiet"]
        if code := run(arguments):
            sys.exit(code)
        shown = PngImagePlugin.PngInfo()
        with records.open(encoding="utf-8") as lines:
            record = json.loads(next(lines))
        shown.add_text(SHOWS, json.dumps(timeline(record)))
        shown.add_text(VERDICT, json.dumps(verdict(record)))
        with Image.open(folder / "call.png") as drawn:
            few = drawn.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
        picture.parent.mkdir(exist_ok=True)
        few.save(picture, optimize=True, pnginfo=shown)


if __name__ == "__main__":
    make(PICTURE)
