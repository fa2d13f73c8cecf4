"""Bytes of files told from bytes of samples."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import encoded, voice, wav16
from overtone.audio import Decoder
from overtone.compat.file_marks import is_audio_file
from overtone.compat.inputs import samples_of
from overtone.types import Audio

FILES = [
    ("wav", "pcm_s16le", {}),
    ("aiff", "pcm_s16be", {}),
    ("au", "pcm_s16be", {}),
    ("w64", "pcm_s16le", {}),
    ("caf", "pcm_s16le", {}),
    ("voc", "pcm_u8", {}),
    ("flac", "flac", {}),
    ("wv", "wavpack", {}),
    ("tta", "tta", {}),
    ("mp3", "libmp3lame", {}),
    ("mp3", "libmp3lame", {"id3v2_version": "0"}),
    ("mp3", "libmp3lame", {"id3v2_version": "0", "write_xing": "0"}),
    ("mp2", "mp2", {}),
    ("adts", "aac", {}),
    ("mp4", "aac", {}),
    ("mov", "aac", {}),
    ("asf", "wmav2", {}),
    ("mpegts", "aac", {}),
    ("mpegts", "mp2", {}),
    ("mpegts", "mp2", {"mpegts_m2ts_mode": "1"}),
    ("ogg", "flac", {}),
    ("webm", "libopus", {}),
    ("matroska", "flac", {}),
    ("flv", "aac", {}),
]


@pytest.mark.parametrize(("container", "codec", "options"), FILES)
def test_files_are_files(container: str, codec: str, options: dict[str, str]) -> None:
    rate = 48_000 if codec == "libopus" else 44_100
    data = encoded(voice(1.0, rate), rate, container, codec, options=options)
    assert is_audio_file(data)
    with Decoder(samples_of(data, 16_000)) as decoder:
        assert sum(map(len, decoder.blocks())) > 15_000


RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
FRAMED = [
    (container, codec, rate)
    for container, codec in (("mp3", "libmp3lame"), ("mp2", "mp2"), ("adts", "aac"))
    for rate in (RATES if codec == "mp2" else (8_000, 11_025, 12_000, *RATES))
]


@pytest.mark.parametrize(("container", "codec", "rate"), FRAMED)
def test_frames_are_found_at_any_rate(container: str, codec: str, rate: int) -> None:
    for layout in ("mono", "stereo"):
        samples = voice(0.5, rate, 1 if layout == "mono" else 2)
        data = encoded(samples, rate, container, codec, layout=layout, options={"id3v2_version": "0"})
        assert is_audio_file(data)
        assert not is_audio_file(data, frames=False)


def test_samples_are_samples_whatever_the_first_of_them_is() -> None:
    """Of 65,536 first samples some 200 look like a frame's header."""
    rest = np.random.default_rng(0).integers(-3000, 3000, 959, np.int16).tobytes()
    taken = [first for first in range(1 << 16) if is_audio_file(first.to_bytes(2, "little") + rest)]
    assert taken == []


def test_a_frame_that_none_follows_is_no_file() -> None:
    data = encoded(voice(0.5, 44_100), 44_100, "mp2", "mp2")
    second = data.index(data[:2], 4)
    assert is_audio_file(data)
    assert not is_audio_file(data[:second])
    assert not is_audio_file(data[:second] + bytes(len(data)))


def test_a_part_of_a_stream_is_samples_even_where_two_frames_stand_in_it() -> None:
    data = encoded(voice(0.5, 44_100), 44_100, "mp2", "mp2")
    assert isinstance(samples_of(data, 16_000, in_parts=True), Audio)
    assert samples_of(data, 16_000) is data


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xfb", b"\x47" * 4, bytes(4000)])
def test_scraps_are_samples(data: bytes) -> None:
    assert isinstance(samples_of(data, 16_000), Audio)


def test_bytes_of_any_kind_are_bytes() -> None:
    data = wav16(voice(0.1))
    assert samples_of(bytearray(data), 16_000) == samples_of(memoryview(data), 16_000) == data


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_one_channel_may_stand_in_a_column(dtype: type) -> None:
    row = (voice(0.1)[0] * 100).astype(dtype)
    column = samples_of(row[:, None], 16_000)
    plain = samples_of(row, 16_000)
    assert isinstance(column, Audio)
    assert isinstance(plain, Audio)
    assert np.array_equal(column.samples, plain.samples)
