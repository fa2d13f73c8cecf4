"""WAV headers: those that lie, and those that are plainly samples."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, to_int16, voice, wav, wav16
from helpers.decoding import decode, refused
from overtone.audio import MAX_CHANNELS
from overtone.audio.wav_header import is_plain_pcm16


def test_a_wav_header_that_claims_hours() -> None:
    data = wav(to_int16(voice(1)), claimed_bytes=67_000 * 32_000)
    for source in (data, Pipe(data)):
        heard, decoder = decode(source)
        assert len(heard) == 16_000
        assert decoder.claimed_s == 67_000
        assert decoder.warnings == ("the header says 67000.0 s; the file holds 1.0 s",)
    assert "holds 0.9 s" in decode(wav16(voice(1.2))[:-9000])[1].warnings[0]
    assert decode(wav16(voice(1.2))[:-2000])[1].warnings == ()  # 62 ms: less than anyone would miss


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
def test_a_wav_written_into_a_pipe(size: int) -> None:
    data = wav(to_int16(voice(1)), claimed_bytes=size)
    for source in (data, Pipe(data)):
        heard, decoder = decode(source)
        assert len(heard) == 16_000
        assert decoder.warnings == ()
        assert decoder.claimed_s in (None, 1.0)


@pytest.mark.parametrize(
    ("data", "surely"),
    [
        (wav(to_int16(voice(0.1))), True),
        (wav(to_int16(voice(0.1, 48_000)), 48_000), True),
        (wav(to_int16(voice(0.1, 8_000, 2)), 8_000), True),
        (wav(to_int16(voice(0.1, 44_100, 2)), 44_100), False),
        (wav(voice(0.1).astype(np.float32)), False),
        (wav(to_int16(voice(0.1)))[:30], False),
        (encoded(voice(0.1), 16_000, "wav", "pcm_s24le"), False),
        (encoded(voice(0.1), 16_000, "flac", "flac"), False),
        (b"", False),
    ],
)
def test_a_wav_is_known_for_what_it_is(data: bytes, surely: bool) -> None:
    assert is_plain_pcm16(data) is surely


@pytest.mark.parametrize(
    ("rate", "channels", "cut"), [(16_000, 1, 0), (8_000, 2, 0), (44_100, 1, 0), (16_000, 1, 3001)]
)
def test_what_is_known_to_be_samples_is_decoded_the_same(
    rate: int, channels: int, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wav16(voice(3, rate, channels), rate)
    data = data[: len(data) - cut]
    assert is_plain_pcm16(data)
    for source in (lambda: data, lambda: Pipe(data)):
        short = decode(source())
        with monkeypatch.context() as patch:
            patch.setattr("overtone.audio.container._SAMPLES", {})
            long = decode(source())
        np.testing.assert_array_equal(short[0], long[0])
        assert short[1].warnings == long[1].warnings


def test_the_sound_of_a_film_in_a_wav_is_still_found() -> None:
    disguised = encoded(voice(2.0, 48_000, 2), 48_000, "spdif", "ac3")
    data = wav(np.frombuffer(disguised[: len(disguised) // 4 * 4], "<i2").reshape(-1, 2).T, 48_000)
    assert not is_plain_pcm16(data)
    heard, decoder = decode(data)
    assert decoder.codec == "ac3"
    assert len(heard) == pytest.approx(32_000, abs=1000)


MAD = [(65, 16_000), (40_000, 8_000), (1, 0), (1, 0x7FFFFFFF), (1, 0xFFFFFFFF), (0, 8_000)]


@pytest.mark.parametrize(("channels", "rate"), MAD)
def test_mad_headers(channels: int, rate: int) -> None:
    code = refused(wav(to_int16(voice(0.2)), rate, channels=channels)).code
    assert code in ("too_many_channels", "bad_rate", "no_audio", "not_audio")
    assert code == "too_many_channels" or channels != MAX_CHANNELS + 1
