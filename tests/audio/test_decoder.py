"""The decoder: channels and blocks, read once, whatever its caller does, in bounded memory."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, to_int16, voice, wav, wav16
from helpers.decoding import decode, try_hard
from overtone import EmotionRecognizer
from overtone.audio import Decoder
from overtone.errors import InputError, UsageError
from overtone.types import SAMPLE_RATE, Audio


def test_mono_is_the_mean_and_a_channel_is_itself() -> None:
    samples = to_int16(voice(1.5, channels=3))
    data = wav(samples)
    exact = samples / np.float32(32768)
    assert np.allclose(decode(data)[0], exact.mean(axis=0), atol=1e-7)
    for k in range(3):
        assert np.array_equal(decode(data, channel=k)[0], exact[k])
    with Decoder(data) as decoder, pytest.raises(InputError, match="no channel 3; it has 3"):
        list(decoder.blocks(3))


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_blocks_do_not_depend_on_how_the_bytes_come(rate: int) -> None:
    data = wav16(voice(3.2, rate), rate)
    whole, _ = decode(data)
    for most in (1, 333) if rate == 8_000 else (4096,):
        assert np.array_equal(decode(Pipe(data, most))[0], whole)
    array = to_int16(voice(3.2, rate)) / np.float32(32768)
    assert np.array_equal(decode(Audio(array, rate))[0], whole)
    assert len(whole) == round(3.2 * SAMPLE_RATE)


@pytest.mark.parametrize("rate", [1_000, 7_999, 22_050, 44_101, 192_000, 768_000])
def test_odd_rates(rate: int) -> None:
    length = max(2, rate // 2)
    heard, _ = decode(Audio(np.full(length, 0.25, np.float32), rate))
    assert abs(len(heard) - length * SAMPLE_RATE / rate) <= 2
    assert np.abs(heard[len(heard) // 3 : len(heard) // 2] - 0.25).max() < 5e-3


def test_read_once_and_not_after_closing() -> None:
    data = wav16(voice(3))
    with Decoder(data) as decoder:
        blocks = decoder.blocks()
        next(blocks)
        with pytest.raises(UsageError, match="read once"):
            next(decoder.blocks())
    with pytest.raises(UsageError, match="closed"):
        list(blocks)


def test_the_consumers_exceptions_pass() -> None:
    with Decoder(wav16(voice(3))) as decoder:
        blocks = decoder.blocks()
        next(blocks)
        with pytest.raises(ZeroDivisionError):
            blocks.throw(ZeroDivisionError())  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [TypeError, AttributeError])
def test_a_call_that_pyav_does_not_know_is_no_fault_of_the_audio(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlike(*_: object, **__: object) -> None:
        raise kind("open() got an unexpected keyword argument")

    monkeypatch.setattr(av, "open", unlike)
    with pytest.raises(kind, match="unexpected keyword"):
        Decoder(wav16(voice(0.1)))
    with EmotionRecognizer("tiny", decode="threads") as recognizer:
        (result,) = recognizer.stream([wav16(voice(0.1))])
    assert result.error is not None
    assert result.error.code == "fault"
    assert "fault of Overtone's own" in str(result.error)


LONG = """
import os, resource, sys
from overtone.audio import Decoder
with Decoder(sys.argv[1]) as decoder:
    next(blocks := decoder.blocks())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = max(len(os.listdir("/proc/self/task")) for _ in blocks)
    print(decoder.decoded_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, threads)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes and threads the way Linux tells them")
def test_an_hour_takes_no_more_memory_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    seconds = 3600
    header = wav(np.zeros((1, 0), np.int16), 8_000, claimed_bytes=seconds * 16_000)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + seconds * 16_000)  # a hole: no disk is filled
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", LONG, path], env=env, capture_output=True, encoding="utf-8", check=True)
    decoded_s, grown_kib, threads = run.stdout.split()
    assert run.stderr == ""
    assert float(decoded_s) == seconds
    assert int(grown_kib) < 16 * 1024  # the hour itself is 220 MiB at 16 kHz
    assert int(threads) == 1


def test_a_frame_that_claims_to_be_huge() -> None:
    """ALAC lets a file say how long a frame is."""
    data = bytearray(encoded(voice(0.5), 16_000, "mov", "alac", format="s16p"))
    at = data.index(b"alac", data.index(b"alac") + 4) + 8
    data[at : at + 4] = struct.pack(">I", 0x7FFFFFFF)
    try_hard(bytes(data))
