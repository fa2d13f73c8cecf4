"""Decoding: what comes out is what went in, in any container, and of bad input nothing but InputError ever escapes."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.audio_files import Pipe, encoded, pictures_only, to_int16, video, voice, wav, wav16
from helpers.clips import CLIPS
from helpers.command import finish, start
from overtone import EmotionRecognizer
from overtone.audio import BLOCK_SAMPLES, MAX_CHANNELS, Decoder, Probe, Readable, probe
from overtone.audio.byte_reader import Feed
from overtone.audio.container import _audio_codecs
from overtone.audio.wav_header import is_plain_pcm16
from overtone.errors import InputError, UsageError
from overtone.types import SAMPLE_RATE, Audio


def decode(source: Readable, channel: int | None = None) -> tuple[np.ndarray, Decoder]:
    with Decoder(source) as decoder:
        parts = list(decoder.blocks(channel))
        assert all(p.dtype == np.float32 and p.ndim == 1 and 0 < len(p) <= BLOCK_SAMPLES for p in parts)
        assert decoder.decoded_s == sum(map(len, parts)) / SAMPLE_RATE
        return np.concatenate(parts), decoder


def refused(source: object) -> InputError:
    """The error of opening or decoding."""
    with pytest.raises(InputError) as caught, Decoder(source) as decoder:  # type: ignore[arg-type]
        list(decoder.blocks())
    return caught.value


def likeness(heard: np.ndarray, meant: np.ndarray) -> float:
    """Correlation at the best lag: encoders delay a little."""
    size = len(heard) + len(meant)
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(meant, size).conj(), size)
    near = np.concatenate([products[:1600], products[-1600:]])  # within 100 ms
    return float(near.max() / np.sqrt((heard.astype("f8") ** 2).sum() * (meant.astype("f8") ** 2).sum()))


# --- formats ---------------------------------------------------------------------------------------------


def test_16_bit_wav_at_16_khz_is_exact() -> None:
    samples = to_int16(voice(2.3))
    heard, decoder = decode(wav(samples))
    assert np.array_equal(heard, samples[0] / np.float32(32768))
    assert (decoder.channels, decoder.rate, decoder.claimed_s, decoder.warnings) == (1, 16_000, 2.3, ())


@pytest.mark.parametrize(("dtype", "scale", "tolerance"), [("f4", 1, 0), ("f8", 1, 1e-7), ("i4", 2**31 - 1, 1e-7)])
def test_other_widths_of_wav(dtype: str, scale: int, tolerance: float) -> None:
    samples = voice(0.7)
    heard, _ = decode(wav((samples.astype("f8") * scale).astype(dtype)))
    assert np.abs(heard - samples[0]).max() <= tolerance


def test_8_and_24_bit_wav() -> None:
    samples = voice(0.5)
    eight, _ = decode(wav(np.round(samples * 127 + 128).astype(np.uint8)))
    assert np.abs(eight - samples[0]).max() < 0.02  # two steps of 1/128
    heard, _ = decode(encoded(samples, 16_000, "wav", "pcm_s24le"))
    assert np.abs(heard - samples[0]).max() < 1e-6


FORMATS = [
    ("wav", "pcm_mulaw", 8_000, 0.99),
    ("wav", "pcm_alaw", 8_000, 0.99),
    ("flac", "flac", 44_100, 0.9999),
    ("aiff", "pcm_s16be", 22_050, 0.9999),
    ("mp3", "libmp3lame", 44_100, 0.99),
    ("adts", "aac", 44_100, 0.99),
    ("mp4", "aac", 48_000, 0.99),
    ("ogg", "libopus", 48_000, 0.98),
    ("webm", "libopus", 48_000, 0.98),
    ("matroska", "flac", 48_000, 0.9999),
    ("caf", "pcm_s16le", 32_000, 0.9999),
    ("au", "pcm_s16be", 11_025, 0.9999),
    ("w64", "pcm_s16le", 96_000, 0.9999),
]


@pytest.mark.parametrize(("container", "codec", "rate", "least"), FORMATS)
def test_formats(container: str, codec: str, rate: int, least: float) -> None:
    meant = voice(2.0)[0]
    heard, decoder = decode(encoded(voice(2.0, rate), rate, container, codec))
    assert decoder.warnings == ()
    assert abs(len(heard) / SAMPLE_RATE - 2) < 0.07  # codecs without a stated length round up to whole frames
    assert likeness(heard, meant) > least


def test_vorbis() -> None:
    heard, _ = decode(encoded(voice(2.0, 44_100, 2), 44_100, "ogg", "vorbis"), channel=0)
    assert likeness(heard, voice(2.0)[0]) > 0.97


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "flac")])
def test_the_sound_of_a_film(container: str, codec: str) -> None:
    heard, decoder = decode(video(voice(1.5, 44_100), 44_100, container, codec))
    assert likeness(heard, voice(1.5)[0]) > 0.99
    assert decoder.warnings == ()


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp4", "aac")])
def test_surround(container: str, codec: str) -> None:
    samples = voice(1.0, 48_000, 6)
    with Decoder(encoded(samples, 48_000, container, codec)) as decoder:
        heard = np.concatenate(list(decoder.channel_blocks()), axis=1)
    assert heard.shape[0] == decoder.channels == 6
    for channel, (row, meant) in enumerate(zip(heard, voice(1.0, channels=6), strict=True)):
        if codec != "aac" or channel != 3:  # AAC keeps nothing but bass in its 4th channel
            assert likeness(row, meant) > 0.99


@pytest.mark.parametrize("channels", [2, 5, 8, 9, 17, 64])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_many_channels_stay_apart(channels: int, rate: int) -> None:
    meant = voice(0.4, channels=channels)
    with Decoder(wav16(voice(0.4, rate, channels), rate)) as decoder:
        heard = np.concatenate(list(decoder.channel_blocks()), axis=1)
    assert heard.shape == meant.shape
    middle = slice(200, -200)  # a filter rings at the ends; above 8 kHz there is nothing left of a tone
    low = [k for k in range(channels) if 170 * k < 6000]
    assert np.abs(heard[low, middle] - meant[low, middle]).max() < 2e-3


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_many_planar_channels(layout: str) -> None:
    """PyAV miscounts the planes of such frames."""
    channels = 8 if layout == "7.1" else 16
    samples = voice(0.5, 48_000, channels)
    data = encoded(samples, 48_000, "matroska", "wavpack", layout=layout, format="s16p")
    with Decoder(data) as decoder:
        heard = np.concatenate(list(decoder.channel_blocks()), axis=1)
    meant = voice(0.5, channels=channels)
    assert np.abs(heard[:, 200:7800] - meant[:, 200:7800]).max() < 2e-3


# --- channels and blocks ---------------------------------------------------------------------------------


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


# --- sources ---------------------------------------------------------------------------------------------


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


class Breaking(Pipe):
    """A pipe that breaks after `good` bytes."""

    def __init__(self, data: bytes, good: int, error: BaseException) -> None:
        super().__init__(data[:good])
        self._error = error

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise self._error
        return data


def test_a_stream_that_breaks(capfd: pytest.CaptureFixture[str]) -> None:
    data = wav16(voice(3))
    error = refused(Breaking(data, 0, OSError(5, "Input/output error")))
    assert error.code == "unreadable"
    heard, decoder = decode(Breaking(data, 70_000, OSError(5, "Input/output error")))
    assert len(heard) > 30_000
    assert "(Input/output error)" in decoder.warnings[0]
    long = wav16(voice(30))
    with Decoder(Breaking(long, 700_000, KeyboardInterrupt())) as broken, pytest.raises(KeyboardInterrupt):
        list(broken.blocks())
    with pytest.raises(KeyboardInterrupt):
        Decoder(Breaking(data, 0, KeyboardInterrupt()))
    assert capfd.readouterr().err == ""


def adx_that_divides_by_zero() -> bytes:
    """An ADX of a block size of 82 instead of 18, and silence."""
    return bytes.fromhex("80000020 03520401 00003e80 00023160 01f40300") + bytes(10) + b"(c)CRI" + bytes(3028)


def nsv_of_a_large_table() -> bytes:
    """An NSV whose header announces a table of 2 billion entries."""
    head = "4e535666 00000400 10000000 00001f40 00000064 401f0000 00000010 ffffffff 00000002 ffffff7f"
    return bytes.fromhex(head) + bytes(4960)


@pytest.mark.parametrize("made", [adx_that_divides_by_zero, nsv_of_a_large_table])
def test_what_ends_the_process_inside_ffmpeg_is_never_opened(made: Callable[[], bytes], tmp_path: Path) -> None:
    """In a process of its own, which today's FFmpeg would end."""
    (tmp_path / "bad").write_bytes(made())
    (tmp_path / "good.wav").write_bytes(wav16(voice(1.0)))
    code, out, _ = finish(start("emotion", "bad", "good.wav", "--quiet", cwd=tmp_path))
    bad, good = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert bad["error"]["code"] == "not_audio"
    assert good["error"] is None
    assert good["duration"] == 1.0


def test_no_decoder_that_ends_the_process_may_be_used_by_another_container() -> None:
    assert "adpcm_adx" in av.codecs_available
    assert "adpcm_adx" not in _audio_codecs().split(",")
    assert "pcm_s16le" in _audio_codecs().split(",")


@pytest.mark.parametrize("kind", [TypeError, AttributeError])
def test_a_call_that_pyav_does_not_know_is_no_fault_of_the_audio(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlike(*_: object, **__: object) -> None:
        raise kind("open() got an unexpected keyword argument")

    monkeypatch.setattr(av, "open", unlike)
    with pytest.raises(kind, match="unexpected keyword"):
        Decoder(wav16(voice(0.1)))
    with EmotionRecognizer("tiny") as recognizer:
        (result,) = recognizer.stream([wav16(voice(0.1))])
    assert result.error is not None
    assert result.error.code == "fault"
    assert "fault of Overtone's own" in str(result.error)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{0}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{0}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{0}</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
def test_playlists_open_nothing(kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav16(voice(1)))
    assert refused(PLAYLISTS[kind].format(secret).encode()).code == "not_audio"


# --- arrays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_float_arrays(dtype: type) -> None:
    samples = voice(1.2, channels=2).astype(dtype)
    heard, decoder = decode(Audio(samples, 16_000, "mine"))
    assert np.allclose(heard, samples.astype(np.float32).mean(axis=0), atol=1e-6)
    assert (decoder.name, decoder.channels, decoder.claimed_s) == ("mine", 2, 1.2)


@pytest.mark.parametrize(
    ("samples", "code", "word"),
    [
        (np.zeros(9, np.int16), "bad_samples", "divide by 32768"),
        (np.zeros(9, np.uint8), "bad_samples", "subtract 128, divide by 128"),
        (np.zeros(9, complex), "bad_samples", "float"),
        (np.zeros((1, 2, 3)), "bad_samples", "3 dimensions"),
        (np.float32(1)[...], "bad_samples", "0 dimensions"),
        (np.zeros(0), "empty", "empty"),
        (np.zeros((16_000, 2)), "bad_samples", "samples.T"),
        (np.zeros((65, 65)), "too_many_channels", "65 channels"),
        ([0.0, 1.0], "bad_samples", "numpy"),
    ],
)
def test_arrays_refused(samples: np.ndarray, code: str, word: str) -> None:
    error = refused(Audio(samples, 16_000))
    assert error.code == code
    assert word in str(error)


@pytest.mark.parametrize("rate", [0, -1, 999, 16_000.5, float("nan"), 768_001, None, "x", 1 << 70])
def test_rates_refused(rate: int) -> None:
    assert refused(Audio(np.zeros(9, np.float32), rate)).code == "bad_rate"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_audio(bad: float) -> None:
    samples = np.zeros((2, 40_000), np.float32)
    samples[1, 24_000] = bad
    for source in (Audio(samples, 16_000), Audio(samples.astype(np.float64), 16_000), wav(samples)):
        error = refused(source)
        assert error.code == "bad_samples"
        assert "at 1.500 s" in str(error)
    assert refused(Audio(np.array([1e300, 0.0]), 8000)).code == "bad_samples"


# --- damage ----------------------------------------------------------------------------------------------


def test_nothing_and_garbage() -> None:
    assert refused(b"").code == "empty"
    assert refused(Pipe(b"")).code == "empty"
    assert refused(bytes(5000)).code == "not_audio"
    assert refused(b"Dear all, this is a text.\n" * 300).code == "not_audio"
    assert refused(np.random.default_rng(1).bytes(20_000)).code in ("not_audio", "no_audio")
    assert refused(wav16(voice(0))).code == "no_audio"
    assert refused(pictures_only()).code == "no_audio"


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


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("aiff", "pcm_s16be"), ("matroska", "flac")])
def test_other_files_cut_short(container: str, codec: str) -> None:
    data = encoded(voice(4), 16_000, container, codec)
    heard, decoder = decode(data[: len(data) // 2])
    assert 1 < len(heard) / SAMPLE_RATE < 3
    assert any("the header says 4.0 s" in warning for warning in decoder.warnings)


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


@given(st.lists(st.tuples(st.sampled_from(["read", "set", "cur", "end", "tell"]), st.integers(0, 40)), max_size=12))
def test_a_feed_that_was_peeked_into_reads_like_one_that_was_not(steps: list[tuple[str, int]]) -> None:
    data = bytes(range(100))
    plain, peeked = Feed(io.BytesIO(data)), Feed(io.BytesIO(data))
    assert peeked.peek(64) == data[:64]

    def step(feed: Feed, kind: str, size: int) -> object:
        if kind == "read":
            return b"".join(feed.read(1) for _ in range(size))  # how much comes at once may differ
        if kind == "tell":
            return feed.tell()
        return feed.seek(size - 20 * (kind != "set"), {"set": 0, "cur": 1, "end": 2}[kind])

    for kind, size in steps:
        assert step(peeked, kind, size) == step(plain, kind, size)
    assert (plain.error, peeked.error) == (None, None)


MAD = [(65, 16_000), (40_000, 8_000), (1, 0), (1, 0x7FFFFFFF), (1, 0xFFFFFFFF), (0, 8_000)]


@pytest.mark.parametrize(("channels", "rate"), MAD)
def test_mad_headers(channels: int, rate: int) -> None:
    code = refused(wav(to_int16(voice(0.2)), rate, channels=channels)).code
    assert code in ("too_many_channels", "bad_rate", "no_audio", "not_audio")
    assert code == "too_many_channels" or channels != MAX_CHANNELS + 1


def test_a_damaged_packet_in_the_middle() -> None:
    data = bytearray(encoded(voice(6, 44_100), 44_100, "mp3", "libmp3lame"))
    data[len(data) // 2 : len(data) // 2 + 700] = bytes(700)
    heard, _ = decode(bytes(data))
    assert 5.7 < len(heard) / SAMPLE_RATE < 6.1
    assert likeness(heard[-16_000:], voice(6)[0][-16_000:]) > 0.8

    aac = bytearray(encoded(voice(6, 44_100), 44_100, "adts", "aac"))
    aac[len(aac) // 2 : len(aac) // 2 + 900] = np.random.default_rng(0).bytes(900)
    heard, decoder = decode(bytes(aac))
    assert 5.7 < len(heard) / SAMPLE_RATE < 6.1
    assert "damaged packets were left out, the first at 2.9" in decoder.warnings[0]


def test_streams_that_change_on_the_way() -> None:
    """Two files in one: what FFmpeg can follow is followed."""
    slow, fast = (encoded(voice(1, rate), rate, "adts", "aac") for rate in (16_000, 44_100))
    heard, _ = decode(slow + fast)
    assert abs(len(heard) / SAMPLE_RATE - 2) < 0.2
    stereo = encoded(voice(1, 16_000, 2), 16_000, "adts", "aac")
    heard, decoder = decode(slow + stereo)
    assert 0.9 < len(heard) / SAMPLE_RATE < 1.2
    assert "the channel count changes from 1 to 2 at 1." in decoder.warnings[0]


SMALL = {
    "wav": wav16(voice(0.3, 8_000, 2), 8_000),
    "float": wav(voice(0.2)),
    "flac": encoded(voice(0.5), 16_000, "flac", "flac"),
    "mp3": encoded(voice(0.5), 16_000, "mp3", "libmp3lame"),
    "m4a": encoded(voice(0.5), 16_000, "mp4", "aac"),
    "ogg": encoded(voice(0.5, 48_000), 48_000, "ogg", "libopus"),
    "webm": encoded(voice(0.5, 48_000), 48_000, "webm", "libopus"),
    "aiff": encoded(voice(0.3), 16_000, "aiff", "pcm_s16be"),
}


def try_hard(data: bytes) -> None:
    """Any outcome but a foreign exception, NaN, or more audio than the bytes could hold."""
    for source in (data, Pipe(data)):
        try:
            heard, _ = decode(source)
        except InputError:
            continue
        assert np.isfinite(heard).all()


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_truncated_anywhere(kind: str) -> None:
    data = SMALL[kind]
    for cut in [*range(0, 64, 7), *range(64, len(data), max(1, len(data) // 40))]:
        try_hard(data[:cut])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(SMALL)),
    changes=st.lists(st.tuples(st.floats(0, 1) | st.floats(0, 0.05), st.binary(min_size=1, max_size=8)), max_size=6),
)
def test_bytes_changed_anywhere(kind: str, changes: list[tuple[float, bytes]]) -> None:
    data = bytearray(SMALL[kind])
    for where, new in changes:
        at = int(where * (len(data) - 1))
        data[at : at + len(new)] = new
    try_hard(bytes(data))


# --- probe, memory, threads ------------------------------------------------------------------------------


def test_probe() -> None:
    data = wav16(voice(2, 8_000, 2), 8_000)
    assert probe(data, "call") == Probe("call", 2.0, 2, 8_000, "pcm_s16le", "wav")
    assert probe(Audio(np.zeros((3, 800)), 8_000)) == Probe("array", 0.1, 3, 8_000, "float64", "array")
    found = probe(SMALL["m4a"])
    assert (found.codec, found.channels, found.rate) == ("aac", 1, 16_000)
    assert found.claimed_s == pytest.approx(0.5, abs=0.1)


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
    run = subprocess.run([sys.executable, "-c", LONG, path], env=env, capture_output=True, text=True, check=True)
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


# --- real speech -----------------------------------------------------------------------------------------


def by_libsndfile(path: Path) -> np.ndarray:
    """A file in one channel at 16 kHz, by code that has nothing in common with ours."""
    soundfile = pytest.importorskip("soundfile")
    signal = pytest.importorskip("scipy.signal")
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return signal.resample_poly(samples.mean(axis=1), SAMPLE_RATE, rate)


def check_reading(paths: list[Path], original: np.ndarray) -> None:
    for path in paths:
        heard, _ = decode(path)
        assert abs(len(heard) - len(original)) < 600, path.name  # 37 ms: the padding of a codec
        assert likeness(heard, original) > 0.97, path.name


def test_a_reading_is_the_same_in_every_format() -> None:
    folder = CLIPS / "speech" / "formats"
    paths = sorted(folder.glob("p001.*"))
    assert [path.suffix for path in paths] == [".aac", ".mp3", ".mp4", ".ogg", ".webm"]
    check_reading(paths, by_libsndfile(folder / "p001.mp3"))


def test_a_reading_is_what_it_was_before_it_was_compressed(data: Path) -> None:
    folder = data / "speech" / "formats"
    check_reading(sorted(folder.glob("p001.*")), by_libsndfile(folder / "p001.wav"))


def test_broken_files_are_told_apart() -> None:
    broken = {path.name: refused(path).code for path in (CLIPS / "speech" / "formats").glob("mono.*")}
    assert broken == {"mono.empty.wav": "empty", "mono.invalid.wav": "not_audio", "mono.zero.wav": "no_audio"}


def test_clips_of_other_people_are_read_without_a_warning() -> None:
    paths = sorted((CLIPS / "speech" / "lhotse").iterdir())
    assert len(paths) == 7
    for path in paths:
        heard, decoder = decode(path)
        assert decoder.warnings == ()
        assert len(heard) > 8000
