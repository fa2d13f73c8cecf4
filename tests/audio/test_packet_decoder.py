"""Packets of live streams decoded in another process: the same samples, and a death that only one stream hears of."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from helpers.audio_files import encoded, opus_packets, voice
from helpers.decoding import resampled
from helpers.paths import TESTS
from overtone.audio import MOST_SAMPLES, MOST_WEBM_BYTES, OPUS_RATE, Decoder, OpusPackets, PacketDecoder
from overtone.audio.decoder_channel import Message
from overtone.audio.decoder_pool import DecoderPools
from overtone.audio.packet_decoder import LIMITS, RemoteOpus
from overtone.errors import Code, InputError, UsageError


@pytest.fixture
def decoder() -> Iterator[PacketDecoder]:
    made = PacketDecoder()
    yield made
    pids = made.pids
    made.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_of_decoding_here(decoder: PacketDecoder, channels: int) -> None:
    packets = opus_packets(voice(1.0, rate=48_000, channels=channels))
    here, there = OpusPackets(channels, "a"), decoder.open(channels, "a")
    for packet in (b"", *packets):
        assert np.array_equal(there.decode(packet), here.decode(packet))
    assert len(decoder.pids) == 1


def test_webm_is_what_a_file_of_it_is(decoder: PacketDecoder) -> None:
    data = encoded(voice(2.0, rate=48_000), 48_000, "webm", "libopus", options={"live": "1"})
    stream, other = decoder.open_webm("a"), decoder.open(1, "b")
    pieces = []
    for start in range(0, len(data), 500):
        pieces.append(stream.decode(data[start : start + 500]))
        other.decode(b"")
    samples = resampled(np.concatenate(pieces), OPUS_RATE)
    np.testing.assert_array_equal(samples, np.concatenate(list(Decoder(data, "a").blocks())))


def decoded_alive(stream: RemoteOpus, data: bytes) -> np.ndarray:
    """All samples of a stream, which gives no more than it may at a time."""
    found = []
    for start in range(0, len(data), MOST_WEBM_BYTES):
        found.append(stream.decode(data[start : start + MOST_WEBM_BYTES]))
        while len(found[-1]) == MOST_SAMPLES:
            found.append(stream.decode(b""))
    found.append(stream.finish())
    while len(found[-1]) == MOST_SAMPLES:
        found.append(stream.finish())
    assert all(len(some) <= MOST_SAMPLES for some in found)
    return np.concatenate(found)


def test_holes_in_webm_are_those_of_a_file_of_it(decoder: PacketDecoder) -> None:
    data = (TESTS / "data" / "times" / "gap5.webm").read_bytes()
    stream = decoder.open_webm("a")
    samples = decoded_alive(stream, data)
    with Decoder(data, "a") as file:
        wanted = np.concatenate(list(file.blocks()))
        warned = file.warnings
    heard = resampled(samples, OPUS_RATE)
    assert len(heard) == len(wanted) > 16.9 * 16_000
    # A file's silence is made at 16 kHz, and the filter does not see it.
    assert np.abs(heard - wanted).max() < 0.01
    assert np.mean(heard != wanted) < 0.01
    assert list(stream.warnings()) == list(warned) != []


def test_an_hour_that_a_few_bytes_claim_comes_in_pieces(decoder: PacketDecoder) -> None:
    head = encoded(voice(0.1, rate=48_000), 48_000, "webm", "libopus", options={"live": "1"})
    head = head[: head.index(b"\x1f\x43\xb6\x75")]
    silent = b"\xa3\x85\x81\x00\x00\x80\x19"  # two frames of 60 ms in one byte
    times = [at.to_bytes(3, "big") for at in (0, 3_000_000, 3_000_120, 6_000_000, 6_000_120)]
    data = head + b"".join(b"\x1f\x43\xb6\x75\x8c\xe7\x83" + time + silent for time in times)
    assert len(data) < MOST_WEBM_BYTES
    stream = decoder.open_webm("a")
    stream.decode(data[:1])
    [pid] = decoder.pids
    samples = decoded_alive(stream, data[1:])
    assert len(samples) / OPUS_RATE == pytest.approx(6000.24, abs=0.01)
    assert decoder.pids == [pid]


def test_webm_that_began_in_a_process_that_ended_is_an_error(decoder: PacketDecoder) -> None:
    data = encoded(voice(1.0, rate=48_000), 48_000, "webm", "libopus", options={"live": "1"})
    packets = opus_packets(voice(0.5, rate=48_000))
    webm, other = decoder.open_webm("a"), decoder.open(1, "b")
    webm.decode(data[:2000])
    other.decode(packets[0])
    [pid] = decoder.pids
    psutil.Process(pid).kill()
    while decoder.pids:  # until the system has said so
        pass
    with pytest.raises(InputError, match="open another stream") as caught:
        webm.decode(data[2000:])
    assert caught.value.code == Code.DECODER_DIED
    assert len(other.decode(packets[1])) > 0
    again = decoder.open_webm("a")
    assert sum(len(again.decode(data[at : at + 2000])) for at in range(0, len(data), 2000)) > 0


def test_as_much_silence_as_webm_can_hold_is_within_the_limits(decoder: PacketDecoder) -> None:
    head = encoded(voice(0.1, rate=48_000), 48_000, "webm", "libopus", options={"live": "1"})
    head = head[: head.index(b"\x1f\x43\xb6\x75")] + b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff"
    silent = b"\xa3\x85\x81\x00\x00\x80\x19"  # two frames of 60 ms in one byte
    stream = decoder.open_webm("a")
    stream.decode(head)
    [pid] = decoder.pids
    for _ in range(20):
        samples = stream.decode(silent * (MOST_WEBM_BYTES // len(silent)))
        assert 17 * OPUS_RATE < len(samples) <= 18 * OPUS_RATE
    assert decoder.pids == [pid]


def test_a_bad_packet_is_an_error_and_the_stream_goes_on(decoder: PacketDecoder) -> None:
    stream = decoder.open(1, "a")
    good = opus_packets(voice(0.5, rate=48_000))
    stream.decode(good[0])
    before = decoder.pids
    with pytest.raises(InputError, match="no Opus packet") as caught:
        stream.decode(b"\xff" * 9)
    assert caught.value.code == Code.BAD_SAMPLES
    assert sum(len(stream.decode(packet)) for packet in good) > 0
    assert decoder.pids == before


def test_streams_do_not_hear_each_other(decoder: PacketDecoder) -> None:
    both = voice(0.5, rate=48_000, channels=2)
    first, second = opus_packets(both[:1]), opus_packets(both[1:])
    alone = [OpusPackets(1, "alone") for _ in range(2)]
    together = [decoder.open(1, name) for name in ("first", "second")]
    for pair in zip(first, second, strict=True):
        for packet, here, there in zip(pair, alone, together, strict=True):
            assert np.array_equal(there.decode(packet), here.decode(packet))
    together[0].close()
    assert len(together[1].decode(second[0])) > 0


def test_a_death_is_an_error_of_the_packet_that_was_decoded_and_other_streams_go_on(
    decoder: PacketDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = opus_packets(voice(0.5, rate=48_000))
    struck, other = decoder.open(1, "struck"), decoder.open(1, "other")
    for stream in (struck, other):
        stream.decode(packets[0])
    [pid] = decoder.pids
    os.kill(pid, signal.SIGSTOP)  # in the midst of a packet
    failed: list[BaseException] = []

    def decode() -> None:
        try:
            struck.decode(packets[1])
        except InputError as error:
            failed.append(error)

    assert decoder._process is not None
    channel, waits = decoder._process.channel, threading.Event()
    answered = channel.receive

    def receive() -> Message:
        waits.set()  # the packet has been sent
        return answered()

    monkeypatch.setattr(channel, "receive", receive)
    thread = threading.Thread(target=decode)
    thread.start()
    assert waits.wait(60)
    os.kill(pid, signal.SIGKILL)
    thread.join()
    [error] = failed
    assert isinstance(error, InputError)
    assert error.code == Code.DECODER_DIED
    assert "struck: " in str(error)
    assert "PCM16" in str(error)
    assert len(other.decode(packets[1])) > 0
    assert decoder.pids != [pid]


def test_a_process_that_was_ended_between_packets_is_replaced_unheard(decoder: PacketDecoder) -> None:
    packets = opus_packets(voice(0.5, rate=48_000))
    stream = decoder.open(1, "a")
    stream.decode(packets[0])
    [pid] = decoder.pids
    process = psutil.Process(pid)
    process.kill()
    while decoder.pids:  # until the system has said so
        pass
    assert len(stream.decode(packets[1])) > 0


def test_closed_it_takes_no_packet(decoder: PacketDecoder) -> None:
    stream = decoder.open(1, "a")
    stream.decode(b"")
    decoder.close()
    with pytest.raises(UsageError) as caught:
        stream.decode(b"")
    assert caught.value.code == Code.CLOSED
    stream.close()


def test_it_is_planned_for_where_there_are_live_streams() -> None:
    without, with_live = (DecoderPools(2, 1, background=True, live=live, limits=LIMITS) for live in (False, True))
    assert without.packets is None
    assert with_live.planned_bytes() - without.planned_bytes() == LIMITS.process_bytes
    with_live.close()
    without.close()
