"""Sources of audio: paths, files, pipes, and what is not there."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, voice, wav16
from helpers.decoding import decode, refused
from overtone.audio import AudioTrack, Probe, as_readable, probe
from overtone.types import Audio


def test_paths_files_and_names(tmp_path: Path) -> None:
    data = wav16(voice(0.3))
    path = tmp_path / "http:a%d.mp3"  # a name is never looked at, only the bytes
    path.write_bytes(data)
    for source in (path, str(path)):
        assert decode(source)[1].name == str(path)
    with path.open("rb") as file:
        assert decode(file)[1].name == str(path)
        assert not file.closed
    late = io.BytesIO(b"mail" + data)
    late.seek(4)
    assert len(decode(late)[0]) == 4800
    odd = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(odd)).write_bytes(data)
    assert decode(os.fsdecode(odd))[1].name.endswith("caf\\udce9.wav")


def test_a_fifo_and_a_stream_that_cannot_seek(tmp_path: Path) -> None:
    data = wav16(voice(1.0, 44_100), 44_100)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    heard, decoder = decode(fifo)
    writer.join()
    assert np.array_equal(heard, decode(data)[0])
    assert decoder.warnings == ()
    for container, codec in (("mp3", "libmp3lame"), ("ogg", "libopus"), ("flac", "flac")):
        encoded_data = encoded(voice(1.0, 48_000), 48_000, container, codec)
        assert abs(len(decode(Pipe(encoded_data))[0]) - len(decode(encoded_data)[0])) < 1200


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.wav").code == "not_found"
    assert refused(str(tmp_path / "no.wav/x")).code == "not_found"
    for url in ("http://localhost/a.wav", "concat:a.wav|b.wav", "data:audio/wav;base64,AAAA", "subfile,,start,0:a"):
        error = refused(url)
        assert error.code == "not_found"
        assert "download" in str(error)
    assert refused(tmp_path).code == "unreadable"
    assert refused("/dev/zero").code == "unreadable"
    assert refused("nul\0byte.wav").code == "unreadable"
    assert refused(7).code == "unreadable"
    assert refused(io.StringIO("text")).code == "unreadable"
    assert refused(np.zeros(10)).code == "bad_samples"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav16(voice(0.1)))

    def deny(*args: object, **kwargs: object) -> None:  # root may read anything, so the refusal is played
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    error = refused(path)
    assert error.code == "unreadable"
    assert "Permission denied" in str(error)


def test_probe() -> None:
    data = wav16(voice(2, 8_000, 2), 8_000)
    track = AudioTrack(0, "pcm_s16le", 8_000, 2, is_default=True)
    assert probe(data, "call") == Probe("call", 2.0, 2, 8_000, "pcm_s16le", "wav", (track,))
    track = AudioTrack(0, "float64", 8_000, 3, start_s=0.0, is_default=True)
    assert probe(Audio(np.zeros((3, 800)), 8_000)) == Probe("array", 0.1, 3, 8_000, "float64", "array", (track,))
    found = probe(encoded(voice(0.5), 16_000, "mp4", "aac"))
    assert (found.codec, found.channels, found.rate) == ("aac", 1, 16_000)
    assert found.claimed_s == pytest.approx(0.5, abs=0.1)


SAMPLES = (voice(0.3)[0] * 32_767).astype(np.int16)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ((SAMPLES, 8000), "array"),
        ((8000, SAMPLES), "array"),
        ((np.int64(8000), SAMPLES), "array"),
        ((SAMPLES, 8000.0), "array"),
        ({"array": SAMPLES, "sampling_rate": 8000}, "array"),
        ({"array": SAMPLES, "sampling_rate": 8000, "path": None}, "array"),
        ({"path": "clips/a.wav", "array": SAMPLES, "sampling_rate": 8000}, "clips/a.wav"),
        ({"bytes": wav16(SAMPLES[None] / np.float32(32_768), 8000), "path": "clips/a.wav"}, "clips/a.wav"),
        ({"bytes": wav16(SAMPLES[None] / np.float32(32_768), 8000), "path": None}, "bytes"),
    ],
    ids=["soundfile", "scipy", "numpy's integer", "librosa", "datasets", "no path", "path", "not decoded", "no name"],
)
def test_what_other_libraries_give_for_audio(given: Any, name: str) -> None:
    heard, decoder = decode(as_readable(given))
    np.testing.assert_array_equal(heard, decode(Audio(SAMPLES, 8000))[0])
    assert (decoder.name, decoder.rate) == (name, 8000)


def test_a_file_that_a_data_set_names(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav16(voice(0.3)))
    assert as_readable({"bytes": None, "path": str(path)}) == str(path)
    assert refused(as_readable({"bytes": None, "path": str(tmp_path / "no.wav")})).code == "not_found"


@pytest.mark.parametrize(
    "given",
    [
        (SAMPLES, SAMPLES),
        (8000, 8000),
        (SAMPLES, "8000"),
        (SAMPLES, 8000, 1),
        ("a.wav", 8000),
        {"array": SAMPLES},
        {"bytes": None, "path": None},
        {"bytes": None, "path": 3},
        {"bytes": "RIFF", "path": "a.wav"},
        {"path": "a.wav"},
        {},
    ],
    ids=str,
)
def test_what_is_no_form_of_audio_is_refused_with_those_there_are(given: Any) -> None:
    error = refused(as_readable(given))
    assert error.code == "unreadable"
    for form in (type(given).__name__, "a path", "Audio(samples, rate)", "(array, rate)", "'sampling_rate'"):
        assert form in str(error)


@pytest.mark.parametrize(
    "several",
    [["a.wav", "b.wav"], ("a.wav", "b.wav"), {"a.wav"}, iter(["a.wav"])],
    ids=lambda some: type(some).__name__,
)
def test_several_sources_in_the_place_of_one_are_sent_to_stream(several: Any) -> None:
    assert str(refused(as_readable(several))).endswith("was expected; several of them go to stream()")
    assert "stream()" not in str(refused(as_readable({"path": "a.wav"})))


def test_an_array_has_to_come_with_its_rate() -> None:
    error = refused(SAMPLES)
    assert (error.code, str(error)) == ("bad_samples", "ndarray: an array needs its rate: pass Audio(samples, rate)")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert str(refused(torch.zeros(9))) == "Tensor: an array needs its rate: pass Audio(samples, rate)"


@pytest.mark.parametrize("rate", [0, 16_000.5, True])
def test_a_rate_beside_an_array_is_checked_as_any(rate: Any) -> None:
    assert refused(as_readable((SAMPLES, rate))).code == "bad_rate"
