"""`overtone info`: the container and the audio tracks of each input, by its header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from overtone.audio import AudioTrack, DecoderPool, Probe, probe
from overtone.audio.inputs import FailedInput, expand
from overtone.cli import console
from overtone.cli.batch_run import Inputs
from overtone.errors import InputError
from overtone.output.records import SECOND_DIGITS, rounded, to_json
from overtone.output.times import duration
from overtone.system.machine import standard_input

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines: an object for each input.")]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One input by its header, or its error."""

    source: str
    found: Probe | None = None
    error: InputError | None = None


def info(inputs: Inputs, json: AsJson = False) -> int:
    """Show the container and the audio tracks of each input: codec, rate, channels, language, start.

    Reads headers only. The number of a track is what --audio-track takes.
    """
    failed = False
    with closing(DecoderPool(1)) as pool:
        for entry in _entries(inputs, pool):
            if json:
                typer.echo(to_json(_as_json(entry)))
            elif entry.found is not None:
                _show(entry.source, entry.found)
            if entry.error is not None:
                failed = True
                console.print_error(str(entry.error))
    return 1 if failed else 0


def _entries(inputs: list[str], pool: DecoderPool) -> Iterator[_Entry]:
    for entry in expand(inputs):
        if isinstance(entry, FailedInput):
            yield _Entry(entry.source, error=entry.error)
            continue
        try:
            source = standard_input() if entry.path is None else entry.path
            yield _Entry(entry.source, probe(source, entry.source, pool))
        except InputError as error:
            yield _Entry(entry.source, error=error)


def _as_json(entry: _Entry) -> dict[str, Any]:
    record: dict[str, Any] = {"source": entry.source}
    if entry.found is not None:
        found = entry.found
        tracks = [_track_record(track) for track in found.tracks]
        record |= {
            "container": found.container,
            "duration": rounded(found.claimed_s, SECOND_DIGITS),
            "audio_tracks": tracks,
        }
    error = entry.error
    return record | {"error": None if error is None else {"code": str(error.code), "message": str(error)}}


def _track_record(track: AudioTrack) -> dict[str, Any]:
    return {
        "track": track.number,
        "default": track.is_default,
        "codec": track.codec,
        "rate": track.rate,
        "channels": track.channels,
        "language": track.language,
        "start": rounded(track.start_s, SECOND_DIGITS),
    }


def _show(source: str, found: Probe) -> None:
    length = "unknown length" if found.claimed_s is None else duration(found.claimed_s)
    container = console.shown(found.container)
    console.out.print(f"[bold]{console.shown(source)}[/]  [dim]{container}, {length}[/]", soft_wrap=True)
    table = console.plain_table(">track", "codec", ">rate", ">channels", "language", ">start", "")
    for track in found.tracks:
        table.add_row(
            str(track.number),
            console.shown(track.codec),
            f"{track.rate} Hz",
            str(track.channels),
            console.shown(track.language or ""),
            "" if track.start_s is None else f"{track.start_s:.3f} s",
            "default" if track.is_default else "",
        )
    console.print_whole(table)
