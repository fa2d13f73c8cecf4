"""The service over WebSocket: speech as it is spoken."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets

from helpers.audio_files import encoded, opus_packets, to_int16, wav, wav16
from helpers.clips import EXAMPLES, decoded, voice
from helpers.decoding import decode, resampled
from helpers.oracles.verdict import holds_verdict
from helpers.paths import TESTS
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone import Audio, EmotionRecognizer
from overtone.audio import Decoder
from overtone.server.auth import add_key
from overtone.server.inference.live_audio import OpusReader, PcmReader, Reader
from overtone.types import SAMPLE_RATE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service"), live_idle_s=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def tiny() -> Iterator[EmotionRecognizer]:
    """The same model, for files."""
    with EmotionRecognizer("tiny", memory="4GiB", threads=1) as shared:
        yield shared


def speech(seconds: float) -> np.ndarray:
    return decoded(EXAMPLES / "call.mp3")[: round(seconds * SAMPLE_RATE)]


def pcm(samples: np.ndarray) -> bytes:
    return (samples * 32767).round().astype("<i2").tobytes()


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def talk(service: Running, query: str, say: Callable[[Any], Awaitable[None]], **more: Any) -> tuple[list[Any], int]:
    """Say something while listening: all messages, and the code of the close."""

    async def main() -> tuple[list[Any], int]:
        url = service.url.replace("http", "ws") + "/v1/stream" + query
        async with websockets.connect(url, proxy=None, **more) as socket:
            saying = asyncio.create_task(say(socket))
            heard = []
            try:
                while True:
                    heard.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            except websockets.ConnectionClosed:
                pass
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            return heard, socket.close_code or 0

    return asyncio.run(main())


def all_of(reader: Reader, messages: Sequence[bytes]) -> np.ndarray:
    return np.concatenate([some for message in messages for some in reader.read(message)])


def refusal(service: Running, query: str, **more: Any) -> dict[str, Any]:
    async def nothing(socket: Any) -> None:
        pass

    with pytest.raises(websockets.InvalidStatus) as caught:
        talk(service, query, nothing, **more)
    body = json.loads(caught.value.response.body)
    assert body["status"] == caught.value.response.status_code
    return dict(body)


def send_all(data: bytes, size: int = 6400) -> Callable[[Any], Awaitable[None]]:
    async def say(socket: Any) -> None:
        async for piece in pieces(data, size):
            await socket.send(piece)
        await socket.send("end")

    return say


@pytest.mark.parametrize("size", [777, 6400, 60_000])
def test_an_answer_every_hop_and_the_files_own_at_the_end(service: Running, tiny: EmotionRecognizer, size: int) -> None:
    samples = speech(9.0)
    heard, code = talk(service, "?name=mine", send_all(pcm(samples), size))
    assert code == 1000
    assert heard[0]["type"] == "ready"
    moments = [(m["start"], m["end"]) for m in heard if m["type"] == "emotion"]
    assert moments == [(max(0.0, end - 4.0), float(end)) for end in range(1, 10)]
    assert all(abs(sum(m["scores"].values()) - 1) < 1e-4 for m in heard if m["type"] == "emotion" and m["scores"])
    (summary,) = [m["record"] for m in heard if m["type"] == "summary"]
    expected = tiny(wav16(samples[None]))
    assert (summary["source"], summary["label"], summary["duration"]) == ("mine", expected.label, 9.0)
    assert summary["scores"] == pytest.approx(expected.scores, abs=1e-5)
    assert summary["shares"] == pytest.approx(expected.shares, abs=1e-5)
    assert summary["speech_s"] == pytest.approx(expected.speech_s, abs=0.001)
    assert expected.pooled is not None
    assert summary["pooled"]["scores"] == pytest.approx(expected.pooled.scores, abs=1e-5)
    holds_verdict(summary)


@pytest.mark.parametrize(
    ("rate", "channels"),
    [(8_000, 1), (8_000, 2), (22_050, 1), (24_000, 1), (32_000, 1), (44_100, 1), (44_100, 2), (48_000, 1)],
)
def test_a_stream_at_any_rate_is_the_file(service: Running, tiny: EmotionRecognizer, rate: int, channels: int) -> None:
    spoken = to_int16(np.array([voice(5.0, seed, rate) for seed in range(channels)]))
    data = spoken.T.astype("<i2").tobytes()
    heard, code = talk(service, f"?rate={rate}&channels={channels}&window=2", send_all(data, 9_999))
    assert code == 1000
    answers = [message for message in heard if message["type"] == "emotion"]
    assert [(m["start"], m["end"]) for m in answers] == [(max(0, end - 2), end) for end in range(1, 6)]
    (summary,) = [message["record"] for message in heard if message["type"] == "summary"]
    expected = tiny(wav(spoken, rate))
    last = tiny(Audio(decode(wav(spoken, rate))[0][-2 * SAMPLE_RATE :], SAMPLE_RATE))
    assert (summary["duration"], summary["label"]) == (expected.duration, expected.label) == (5.0, expected.label)
    assert summary["scores"] == pytest.approx(expected.scores, abs=1e-5)
    assert answers[-1]["scores"] == pytest.approx(last.scores, abs=1e-5)


def test_opus_packets(service: Running) -> None:
    packets = opus_packets((0.3 * np.sin(np.arange(48_000 * 3) / 20)).astype(np.float32)[None])

    async def say(socket: Any) -> None:
        for packet in packets:
            await socket.send(packet)
        await socket.send("end")

    heard, code = talk(service, "?format=opus", say)
    assert code == 1000
    assert [m["end"] for m in heard if m["type"] == "emotion"] == [1.0, 2.0, 3.0]
    assert heard[-1]["record"]["duration"] == 3.0
    reader = OpusReader(1)
    samples = all_of(reader, packets)
    assert reader.rate == 48_000
    loudest = np.abs(np.fft.rfft(samples)).argmax() * reader.rate / len(samples)
    assert loudest == pytest.approx(48_000 / 20 / 2 / np.pi, abs=2)


def test_pcm_may_be_cut_anywhere() -> None:
    data = pcm(speech(1.0))
    for rate in (SAMPLE_RATE, 8000):
        whole = all_of(PcmReader(rate, 1), [data])
        cut = all_of(PcmReader(rate, 1), [data[i : i + 333] for i in range(0, len(data), 333)])
        np.testing.assert_array_equal(cut, whole)
        file = np.concatenate(list(Decoder(wav16(speech(1.0)[None], rate)).blocks()))
        np.testing.assert_array_equal(resampled(whole, rate), file)


def record_of(service: Running, data: bytes, **query: Any) -> dict[str, Any]:
    """The record of a file."""
    answer = service.http.post("/v1/emotion", files={"file": ("stream", data)}, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("size", [501, 6400, 1 << 20])
def test_webm_of_a_browser_has_the_summary_of_a_file_of_it(service: Running, size: int) -> None:
    data = encoded(voice(9.0, rate=48_000)[None], 48_000, "webm", "libopus", options={"live": "1"})
    heard, code = talk(service, "?format=webm", send_all(data, size))
    assert code == 1000
    assert [m["end"] for m in heard if m["type"] == "emotion"] == [float(end) for end in range(1, 10)]
    summary, wanted = heard[-1]["record"], record_of(service, data)
    assert summary["duration"] == wanted["duration"] == 9.0
    assert summary["label"] == wanted["label"]
    assert summary["scores"] == pytest.approx(wanted["scores"], abs=1e-5)
    assert [(one["start"], one["end"]) for one in summary["segments"]] == [
        (one["start"], one["end"]) for one in wanted["segments"]
    ]


def test_a_hole_in_webm_is_silence_as_in_a_file_of_it(service: Running) -> None:
    data = (TESTS / "data" / "times" / "gap5.webm").read_bytes()
    heard, code = talk(service, "?format=webm", send_all(data))
    assert code == 1000
    summary, wanted = heard[-1]["record"], record_of(service, data)
    assert summary["duration"] == wanted["duration"] == pytest.approx(17.0, abs=0.05)
    assert summary["warnings"] == wanted["warnings"]
    assert "5.0 s without audio" in summary["warnings"][0]
    assert summary["speech_s"] == pytest.approx(wanted["speech_s"], abs=0.1)
    assert [(one["start"], one["end"]) for one in summary["segments"]] == [
        (one["start"], one["end"]) for one in wanted["segments"]
    ]


@pytest.mark.parametrize(
    ("data", "form", "says"),
    [
        (b"\x1a\x45\xdf\xa3" + bytes(99), "pcm16", "begins as WebM does.*format=webm"),
        (b"OggS" + bytes(99), "pcm16", "begins as Ogg does.*/v1/emotion"),
        (wav16(speech(0.1)[None]), "pcm16", "begins as WAV does.*without the header"),
        (b"ID3\x04" + bytes(99), "pcm16", "begins as MP3 does"),
        (b"fLaC" + bytes(99), "pcm16", "begins as FLAC does"),
        (b"\0\0\0\x20ftypM4A " + bytes(99), "pcm16", "begins as MP4 does"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "opus", "begins as WebM does.*Opus packets"),
    ],
)
def test_a_container_that_was_not_promised_is_told(service: Running, data: bytes, form: str, says: str) -> None:
    for size in (1, len(data)):
        heard, code = talk(service, f"?format={form}", send_all(data, size))
        if form == "opus" and size == 1:
            continue  # each byte is a packet, of which some are none
        assert (heard[-1]["type"], heard[-1]["code"], code) == ("error", "usage", 1008)
        assert re.search(says, heard[-1]["detail"])


def test_samples_that_look_like_a_container_later_are_samples(service: Running) -> None:
    heard, code = talk(service, "", send_all(pcm(speech(1.0)) + b"RIFF" * 8000))
    assert (heard[-1]["type"], code) == ("summary", 1000)


def test_what_is_no_webm_is_told(service: Running) -> None:
    for data, said in ((pcm(speech(0.5)), "not_audio"), (b"\x1a\x45\xdf\xa3" + b"\0" * 99, "bad_samples")):
        heard, code = talk(service, "?format=webm", send_all(data))
        assert (heard[-1]["code"], code) == (said, 1008)
    heard, _ = talk(service, "?format=webm", send_all(b""))
    assert heard[-1]["code"] == "too_short"


def test_what_cannot_be_streamed_is_refused_before_it_begins(service: Running) -> None:
    assert "'mp3'" in refusal(service, "?format=mp3")["detail"]
    assert "8000 to 48000" in refusal(service, "?rate=100")["detail"]
    assert "1 or 2" in refusal(service, "?channels=3")["detail"]
    assert "a number" in refusal(service, "?hop=soon")["detail"]
    assert "every 0.1 s" in refusal(service, "?hop=0.05")["detail"]
    assert "no parameter 'hops'" in refusal(service, "?hops=1")["detail"]
    assert "loaded for 30 s" in refusal(service, "?window=60")["detail"]


def test_a_client_that_says_nothing_is_told_and_closed(service: Running) -> None:
    async def silent(socket: Any) -> None:
        await asyncio.sleep(30)

    heard, code = talk(service, "", silent)
    assert (heard[-1]["type"], heard[-1]["code"], code) == ("error", "upload_timeout", 4408)


@pytest.mark.parametrize(
    ("query", "first", "then"),
    [
        ("", b"", b""),
        ("?format=opus", b"", b""),
        ("?format=webm", b"\x1a\x45\xdf\xa3\x80\xec\x01" + (1 << 50).to_bytes(7, "big"), bytes(100)),
    ],
)
def test_messages_without_audio_are_no_sign_of_life(service: Running, query: str, first: bytes, then: bytes) -> None:
    async def busy(socket: Any) -> None:
        await socket.send(first)
        while True:  # as fast as they are taken, until it is closed
            await socket.send(then)
            await asyncio.sleep(0)  # or nothing else of this client runs

    heard, code = talk(service, query, busy)
    assert (heard[-1]["type"], heard[-1]["code"], code) == ("error", "upload_timeout", 4408)


def test_a_client_that_says_what_it_should_not(service: Running) -> None:
    async def text(socket: Any) -> None:
        await socket.send("hello")

    async def noise(socket: Any) -> None:
        await socket.send(b"\xff" * 100)

    heard, code = talk(service, "", text)
    assert (heard[-1]["code"], code) == ("usage", 1008)
    heard, code = talk(service, "?format=opus", noise)
    assert (heard[-1]["code"], code) == ("bad_samples", 1008)
    heard, _ = talk(service, "", send_all(b""))
    assert heard[-1]["code"] == "too_short"
    until(lambda: service.server.service.admission.live == 0, "its place is given back")


def test_one_too_many_is_refused_and_places_are_given_back(tmp_path: Path) -> None:
    with serving(tmp_path, live_streams=1) as narrow:

        async def main() -> None:
            url = narrow.url.replace("http", "ws") + "/v1/stream"
            async with websockets.connect(url, proxy=None) as first:
                await first.recv()
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await websockets.connect(url, proxy=None)
                assert caught.value.response.status_code == 429
                assert caught.value.response.headers["retry-after"]
            await asyncio.to_thread(until, lambda: not narrow.server.service.admission.live, "its place is given back")
            async with websockets.connect(url, proxy=None) as again:
                assert json.loads(await again.recv())["type"] == "ready"

        asyncio.run(main())


def test_a_key_is_asked_for_here_too(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "someone")
    with serving(tmp_path, keys=str(tmp_path / "keys.json")) as closed:
        assert refusal(closed, "")["code"] == "unauthorized"
        headers = {"Authorization": f"Bearer {key}"}
        _, code = talk(closed, "", send_all(pcm(speech(2.0))), additional_headers=headers)
        assert code == 1000


def test_when_the_service_ends_what_was_heard_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as ending:
        engine = ending.server.host.recognizer.runtime.engine

        async def say(socket: Any) -> None:
            before_s = engine.stats.audio_s
            await socket.send(pcm(speech(3.0)))
            await asyncio.to_thread(until, lambda: engine.stats.audio_s > before_s, "some of it was heard")
            ending.do(ending.server.drain)
            await asyncio.sleep(20)

        began = time.monotonic()
        heard, _ = talk(ending, "", say)
        assert heard[-1]["type"] == "summary"
        assert time.monotonic() - began < 15
