"""The service over WebSocket: speech as it is spoken."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import websockets

from helpers.clips import EXAMPLES, decoded
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone import EmotionRecognizer
from overtone.server.auth import add_key
from overtone.server.inference.live_audio import OpusReader, PcmReader
from overtone.types import SAMPLE_RATE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service"), live_idle_s=1.0) as running:
        yield running


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
def test_an_answer_every_hop_and_the_files_own_at_the_end(service: Running, size: int) -> None:
    samples = speech(9.0)
    heard, code = talk(service, "?name=mine", send_all(pcm(samples), size))
    assert code == 1000
    assert heard[0]["type"] == "ready"
    moments = [(m["start"], m["end"]) for m in heard if m["type"] == "emotion"]
    assert moments == [(max(0.0, end - 4.0), float(end)) for end in range(1, 10)]
    assert all(abs(sum(m["scores"].values()) - 1) < 1e-4 for m in heard if m["type"] == "emotion" and m["scores"])
    (summary,) = [m["record"] for m in heard if m["type"] == "summary"]
    with EmotionRecognizer("tiny", memory="4GiB") as tiny:
        import io
        import wave

        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            out.writeframes(pcm(samples))
        expected = tiny(file.getvalue())
    assert (summary["source"], summary["label"], summary["duration"]) == ("mine", expected.label, 9.0)
    assert summary["scores"] == pytest.approx(expected.scores, abs=1e-5)


def test_other_rates_and_channels(service: Running) -> None:
    tone = (np.sin(np.arange(8000 * 4) / 3) * 8000).astype("<i2")
    stereo = np.stack([tone, tone], axis=1).tobytes()
    heard, code = talk(service, "?rate=8000&channels=2&hop=2", send_all(stereo))
    assert code == 1000
    assert next(m["end"] for m in heard if m["type"] == "emotion") == 2.0
    assert heard[-1]["record"]["duration"] == pytest.approx(4.0, abs=0.05)


def test_opus_packets(service: Running) -> None:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "flt"
    packets = []
    tone = (0.3 * np.sin(np.arange(48_000 * 3) / 20)).astype(np.float32)
    for start in range(0, len(tone), 960):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 960], format="flt", layout="mono")
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]

    async def say(socket: Any) -> None:
        for packet in packets:
            await socket.send(packet)
        await socket.send("end")

    heard, code = talk(service, "?format=opus", say)
    assert code == 1000
    assert heard[-1]["record"]["duration"] == pytest.approx(3.0, abs=0.1)
    reader = OpusReader(1)
    samples = np.concatenate([reader.read(packet) for packet in packets])
    loudest = np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE / len(samples)
    assert loudest == pytest.approx(48_000 / 20 / 2 / np.pi, abs=2)


def test_pcm_may_be_cut_anywhere() -> None:
    data = pcm(speech(1.0))
    whole, reader = PcmReader(SAMPLE_RATE, 1).read(data), PcmReader(SAMPLE_RATE, 1)
    cut = np.concatenate([reader.read(data[i : i + 333]) for i in range(0, len(data), 333)])
    np.testing.assert_array_equal(cut, whole)


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
