"""Damage: of bad input nothing but InputError ever escapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.audio_files import Pipe, encoded, pictures_only, voice, wav, wav16
from helpers.decoding import decode, likeness, refused, try_hard
from overtone.types import SAMPLE_RATE


def test_nothing_and_garbage() -> None:
    assert refused(b"").code == "empty"
    assert refused(Pipe(b"")).code == "empty"
    assert refused(bytes(5000)).code == "not_audio"
    assert refused(b"Dear all, this is a text.\n" * 300).code == "not_audio"
    assert refused(np.random.default_rng(1).bytes(20_000)).code in ("not_audio", "no_audio")
    assert refused(wav16(voice(0))).code == "no_audio"
    assert refused(pictures_only()).code == "no_audio"


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("aiff", "pcm_s16be"), ("matroska", "flac")])
def test_other_files_cut_short(container: str, codec: str) -> None:
    data = encoded(voice(4), 16_000, container, codec)
    heard, decoder = decode(data[: len(data) // 2])
    assert 1 < len(heard) / SAMPLE_RATE < 3
    assert any("the header says 4.0 s" in warning for warning in decoder.warnings)


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
    assert abs(len(heard) / SAMPLE_RATE - 2) < 0.2
    assert likeness(heard[-16_000:], voice(1, channels=2).mean(axis=0)) > 0.97
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


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_truncated_anywhere(kind: str) -> None:
    data = SMALL[kind]
    for cut in [*range(0, 64, 7), *range(64, len(data), max(1, len(data) // 40))]:
        try_hard(data[:cut])


@settings(max_examples=150, derandomize=True)
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
