"""`overtone info`: containers and audio tracks by their headers."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.audio_files import retimed, voice, wav16
from overtone.audio import Decoder
from overtone.cli.app import run


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two audio tracks that begin after half a second of pictures."""
    path = tmp_path / "film.mkv"
    sound = voice(1.0, 48_000, 2)
    path.write_bytes(
        retimed(sound, 48_000, "matroska", "flac", lambda s: s + 0.5, picture_s=2.0, tracks=["ger", "eng"])
    )
    return path


def info(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["info", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_tracks_are_listed_with_the_one_that_is_taken(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = info(capsys, film)
    assert (code, err) == (0, "")
    head, columns, first, second = out.splitlines()
    assert "film.mkv" in head
    assert "matroska" in head
    assert columns.split() == ["track", "codec", "rate", "channels", "language", "start"]
    assert first.split() == ["0", "flac", "48000", "Hz", "1", "ger", "0.500", "s", "default"]
    assert second.split() == ["1", "flac", "48000", "Hz", "1", "eng", "0.500", "s"]


def test_json_has_an_object_for_each_input(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = film.with_name("bad.wav")
    bad.write_bytes(b"no audio" * 30)
    code, out, err = info(capsys, film, bad, "missing.wav", "--json")
    records: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [record["error"] and record["error"]["code"] for record in records] == [None, "not_audio", "not_found"]
    assert err.count("error: ") == 2
    about = {"codec": "flac", "rate": 48_000, "channels": 1, "start": 0.5}
    assert records[0] == {
        "source": str(film),
        "container": "matroska,webm",
        "duration": 2.0,
        "audio_tracks": [
            {"track": 0, "default": True, "language": "ger", **about},
            {"track": 1, "default": False, "language": "eng", **about},
        ],
        "error": None,
    }


def test_nothing_is_decoded(film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Decoder, "channel_blocks", refuse)
    assert info(capsys, film)[0] == 0


def test_standard_input_is_looked_at_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(wav16(voice(1.0)))))
    code, out, _ = info(capsys, "-", "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["source"], record["container"], record["duration"]) == ("-", "wav", 1.0)


def test_a_track_that_is_there_is_run_and_one_that_is_not_is_an_error(emotion: Any, film: Path) -> None:
    code, out, _ = emotion("-q", str(film), "--audio-track", "1")
    assert code == 0
    assert json.loads(out)["error"] is None
    code, out, err = emotion("-q", str(film), "--audio-track", "2")
    assert code == 1
    assert json.loads(out)["error"]["code"] == "no_audio"
    assert "no audio track 2; --audio-track can be one of: 0 (ger, flac, 48000 Hz, 1 ch), 1 (eng," in err
    code, _, err = emotion(str(film), "--audio-track", "-1", command="plan")
    assert code == 2
    assert "--audio-track is -1; 0 to 999 is possible" in err


def test_a_terminal_shows_a_warning_once_and_a_file_of_errors_has_it_too(
    emotion: Any, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "0.5 s without audio at 0.0 s were filled with silence"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = emotion(str(film), "--channels", "split")
    assert code == 0
    assert (out.count(said), err.count(said)) == (1, 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, out, err = emotion(str(film), "--channels", "split")
    assert (out.count(said), err.count(said)) == (1, 0)


@pytest.mark.parametrize("format", ["jsonl", "csv", "json"])
def test_a_warning_goes_to_standard_error_once_whatever_the_output_is(emotion: Any, film: Path, format: str) -> None:
    hostile = film.rename(film.with_name("a\x1b]0;[red]film.mkv"))
    _, _, err = emotion("-q", str(hostile), "--format", format, "--channels", "split")
    (line,) = [line for line in err.splitlines() if "warning" in line]
    assert line.endswith("a\\x1b]0;[red]film.mkv: 0.5 s without audio at 0.0 s were filled with silence")
