"""Containers: what comes out of any is what went in, and none opens anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.audio_files import encoded, to_int16, video, voice, wav, wav16
from helpers.clips import CLIPS
from helpers.command import finish, start
from helpers.decoding import decode, likeness, refused
from overtone.audio import Decoder
from overtone.audio.container import _audio_codecs
from overtone.types import SAMPLE_RATE


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
    spoken = voice(0.4, rate, channels)
    with Decoder(wav16(spoken, rate)) as decoder:
        heard = np.concatenate(list(decoder.channel_blocks()), axis=1)
    assert heard.shape == meant.shape
    middle = slice(200, -200)  # a filter rings at the ends; from 5 kHz on this one's slope begins
    low = [k for k in range(channels) if 170 * k < 5000]
    assert np.abs(heard[low, middle] - meant[low, middle]).max() < 2e-3
    for k in range(channels):
        np.testing.assert_array_equal(heard[k], decode(wav16(spoken[k : k + 1], rate))[0])


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
