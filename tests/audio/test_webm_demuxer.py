"""Opus out of WebM that comes in pieces: FFmpeg's packets and samples, in bounded memory, whatever comes."""

from __future__ import annotations

import io
import itertools
import tracemalloc

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helpers.audio_files import encoded, video, voice
from helpers.decoding import resampled
from overtone.audio import OPUS_RATE, Decoder, WebmOpus
from overtone.audio.webm_demuxer import EBML, OpusBlock, WebmDemuxer
from overtone.errors import Code, InputError

UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"
"""The size of a part that does not say it."""

HEAD = b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"


def element(id: str, body: bytes, size: bytes | None = None) -> bytes:
    """An element with its size in two bytes, or with these for its size."""
    return bytes.fromhex(id) + (size or (0x4000 | len(body)).to_bytes(2, "big")) + body


def track(number: int = 1, codec: bytes = b"A_OPUS", head: bytes = HEAD, more: bytes = b"") -> bytes:
    return element("ae", element("d7", bytes([number])) + element("86", codec) + element("63a2", head) + more)


def block(packet: bytes, number: int = 1, flags: int = 0x80) -> bytes:
    return element("a3", bytes([0x80 | number, 0, 0, flags]) + packet)


def stream(*tracks: bytes) -> bytes:
    """The beginning of a stream as MediaRecorder has it, up to the first block."""
    head = element("1a45dfa3", element("4282", b"webm")) + element("18538067", b"", UNKNOWN)
    return head + element("1654ae6b", b"".join(tracks)) + element("1f43b675", b"", UNKNOWN) + element("e7", b"\0")


def found(data: bytes, *cuts: int) -> list[OpusBlock]:
    demuxer = WebmDemuxer("a")
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[start:stop] for start, stop in itertools.pairwise(places)]
    return [packet for piece in pieces for packet in demuxer.push(piece)]


def of_ffmpeg(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


FILES = {
    "webm": encoded(voice(1.3, rate=48_000), 48_000, "webm", "libopus"),
    "live": encoded(voice(1.3, rate=48_000), 48_000, "webm", "libopus", options={"live": "1"}),
    "stereo": encoded(voice(1.3, rate=48_000, channels=2), 48_000, "webm", "libopus"),
    "film": video(voice(1.3, rate=48_000), 48_000, "matroska", "libopus"),
}


@pytest.mark.parametrize("name", FILES)
def test_packets_are_those_that_ffmpeg_finds(name: str) -> None:
    packets = found(FILES[name])
    assert [packet.packet for packet in packets] == of_ffmpeg(FILES[name])
    assert len(packets) > 50


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 97, 4096, 1 << 20])
def test_samples_are_those_of_a_file_of_it(name: str, size: int) -> None:
    data, webm = FILES[name], WebmOpus("a")
    wanted = np.concatenate(list(Decoder(data, "a").blocks()))
    pieces = [webm.decode(data[start : start + size]) for start in range(0, len(data), size)]
    samples = resampled(np.concatenate(pieces), OPUS_RATE)
    assert len(samples) == len(wanted)
    np.testing.assert_allclose(samples, wanted, atol=1e-6)  # of two channels the mean is taken before resampling


@given(st.lists(st.integers(1, len(FILES["live"]) - 1), max_size=9))
def test_it_may_be_cut_anywhere(cuts: list[int]) -> None:
    assert found(FILES["live"], *cuts) == found(FILES["live"])


def test_parts_without_a_size_as_mediarecorder_writes_them() -> None:
    clusters = element("1f43b675", b"", UNKNOWN).join([block(b"one") + block(b"two"), block(b"three")])
    data = stream(track()) + clusters
    for cut in range(len(data)):
        assert [packet.packet for packet in found(data, cut)] == [b"one", b"two", b"three"]


def test_what_is_not_the_track_is_passed_over_without_being_held() -> None:
    picture = element(
        "a3", bytes([0x82, 0, 0, 0x80]) + bytes(3 << 20), (0x1000_0000 | (3 << 20) + 4).to_bytes(4, "big")
    )
    data = stream(track(2, b"V_VP8", b""), track()) + picture + block(b"one") + block(b"no", number=2) + block(b"two")
    demuxer = WebmDemuxer("a")
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    tracemalloc.start()
    try:
        assert [packet.packet for piece in pieces for packet in demuxer.push(piece)] == [b"one", b"two"]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_size_that_never_ends_is_not_waited_for_in_memory() -> None:
    demuxer = WebmDemuxer("a")
    endless = element("ec", b"", b"\x01" + b"\xff" * 6 + b"\xfe")
    assert not list(demuxer.push(stream(track()) + endless))
    for _ in range(100):
        assert not list(demuxer.push(bytes(10_000)))
    assert len(demuxer._held) < 100


def test_what_is_not_to_be_heard_is_told() -> None:
    group = element("a0", element("a1", b"\x81\0\0\0last") + element("75a2", (10**9).to_bytes(4, "big")))
    data = stream(track(more=element("56aa", (5_000_000).to_bytes(4, "big")))) + block(b"one") + group
    assert found(data) == [OpusBlock(b"one", 0, -5_000_000), OpusBlock(b"last", 48_000, -5_000_000)]
    demuxer = WebmDemuxer("a")
    list(demuxer.push(data))
    assert demuxer.track is not None
    assert (demuxer.track.skip, demuxer.track.channels) == (240, 1), "5 ms"
    list((other := WebmDemuxer("a")).push(stream(track())))
    assert other.track is not None
    assert other.track.skip == 312, "that of OpusHead"


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"RIFF" + bytes(40), Code.NOT_AUDIO, "no WebM"),
        (b"\x1aE no", Code.NOT_AUDIO, "no WebM"),
        (stream(track(1, b"A_VORBIS")) + block(b"one"), Code.NOT_AUDIO, "no Opus track"),
        (stream() + block(b"one"), Code.NOT_AUDIO, "no Opus track"),
        (stream(track(head=b"OpusHead")), Code.BAD_SAMPLES, "OpusHead"),
        (stream(track(head=HEAD[:9] + b"\x06" + HEAD[10:])), Code.BAD_SAMPLES, "1 or 2 channels"),
        (stream(track()) + block(b"one", flags=0x86), Code.BAD_SAMPLES, "several packets"),
        (stream(track()) + element("a3", b"\x81\0"), Code.BAD_SAMPLES, "cut short"),
        (stream(track()) + element("a0", element("a1", b"x", b"\x40\x99")), Code.BAD_SAMPLES, "longer than what"),
        (stream(track()) + element("ec", b"", UNKNOWN), Code.BAD_SAMPLES, "how long it is"),
        (stream(track()) + b"\0" * 20, Code.BAD_SAMPLES, "begins as none does"),
        (stream(track()) + b"\xa3\x00" * 20, Code.BAD_SAMPLES, "begins as none does"),
    ],
)
def test_what_cannot_be_read_is_one_error(data: bytes, code: Code, says: str) -> None:
    for cuts in ((), range(1, len(data))):
        with pytest.raises(InputError, match=says) as told:
            found(data, *cuts)
        assert told.value.code == code


@given(st.binary(max_size=400), st.booleans(), st.integers(0, 400))
@example(b"\xa0\x40\x02\xa1", True, 3)
@example(b"\xa3\x81\x00", True, 1)
def test_any_bytes_are_packets_or_an_error(data: bytes, begun: bool, cut: int) -> None:
    data = (stream(track()) if begun else EBML) + data
    demuxer = WebmDemuxer("a")
    try:
        for piece in (data[:cut], data[cut:]):
            for packet in demuxer.push(piece):
                assert packet.discard >= 0
    except InputError as error:
        assert error.code in (Code.NOT_AUDIO, Code.BAD_SAMPLES)  # noqa: PT017 - or none, which is as good
    assert len(demuxer._held) <= 66_000
