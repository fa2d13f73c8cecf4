"""Downloads: a result as a file, which is gone once it is sent."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from helpers.clips import EXAMPLES
from helpers.results import result, segment
from helpers.server.loops import run
from helpers.server.page import a_transcript, left
from overtone import EmotionRecognizer
from overtone.errors import InputError, RefusedError
from overtone.output.records import to_record
from overtone.results import EmotionResult
from overtone.server.ui.downloads import make, sent
from overtone.server.ui.kept import Kept
from overtone.server.uploads import Spool


@pytest.mark.parametrize("kind", ["jsonl", "csv", "srt", "vtt", "txt"])
def test_transcripts_are_downloaded(spool: Spool, kind: str) -> None:
    told = a_transcript()
    one = make([Kept.of("a.wav", "word", [told])], kind, spool)
    assert "好的。" in one.path.read_text(encoding="utf-8")
    both = make([Kept.of(name, "word", [told]) for name in ("a.wav", "b.wav")], kind, spool)
    assert both.kind == (kind if kind in ("jsonl", "csv") else "zip")
    for made in (one, both):
        spool.remove(made.path)


@pytest.fixture
def answer(recognizer: EmotionRecognizer) -> EmotionResult:
    return dataclasses.replace(recognizer(str(EXAMPLES / "call.mp3")), source="call.mp3")


def content(spool: Spool, kept: list[Kept], kind: str) -> tuple[str, bytes]:
    made = make(kept, kind, spool)
    data = made.path.read_bytes()
    assert spool.held_bytes == len(data)
    spool.remove(made.path)
    assert (left(spool), spool.held_bytes) == ([], 0)
    return made.name, data


def test_a_result_is_downloaded_as_its_record(spool: Spool, answer: EmotionResult) -> None:
    name, data = content(spool, [Kept.of("call.mp3", "segment", [answer])], "json")
    assert name == "call.json"
    assert json.loads(data) == json.loads(json.dumps(to_record(answer, granularity="segment")))


def test_results_of_several_files_are_one_table_or_a_zip(spool: Spool, answer: EmotionResult) -> None:
    silent = dataclasses.replace(answer, source="quiet.wav", embedding=None)
    several = [Kept.of(one.source, "segment", [one]) for one in (answer, answer, silent)]
    name, data = content(spool, several, "json")
    assert name == "overtone.json"
    assert [record["source"] for record in json.loads(data)] == ["call.mp3", "call.mp3", "quiet.wav"]
    _, data = content(spool, several, "csv")
    assert len(data.splitlines()) == 1 + 3 * len(answer.segments)
    for kind, names in (("srt", ["call.srt", "call-2.srt", "quiet.srt"]), ("npz", ["call.npz", "call-2.npz"])):
        name, data = content(spool, several, kind)
        assert name == "overtone.zip"
        assert zipfile.ZipFile(io.BytesIO(data)).namelist() == names


def test_the_embedding_is_numpys(spool: Spool, recognizer: EmotionRecognizer) -> None:
    made = recognizer(str(EXAMPLES / "sad.wav"), granularity="frame")
    name, data = content(spool, [Kept.of("sad.wav", "frame", [made])], "npz")
    assert name == "sad.npz"
    arrays = np.load(io.BytesIO(data))
    assert made.frames is not None
    np.testing.assert_array_equal(arrays["embedding"], made.embedding)
    assert arrays["frames"].shape == made.frames.embeddings.shape


def test_what_cannot_be_made_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(InputError):
        make([Kept.of("a", "segment", [result()])], "npz", spool)
    many = [segment(at * 100, at * 100 + 100, (0.8, 0.1, 0.1)) for at in range(50_000)]
    with pytest.raises(RefusedError) as caught:
        make([Kept.of("a", "segment", [result(segments=many)])], "json", spool)
    assert caught.value.code == "no_space"
    assert (left(spool), spool.held_bytes) == ([], 0)


@pytest.mark.parametrize("gone", [False, True])
def test_a_download_is_removed_when_it_is_sent_or_its_browser_has_gone(spool: Spool, gone: bool) -> None:
    async def work() -> bytes:
        body = b""

        async def send(message: Any) -> None:
            nonlocal body
            body += message.get("body", b"")
            if gone:
                raise OSError("the browser has gone")

        async def receive() -> Any:
            await asyncio.sleep(3600)

        response = await sent([Kept.of("结果.wav", "segment", [result("结果.wav")])], "csv", spool)
        assert "filename*=utf-8''%E7%BB%93%E6%9E%9C.csv" in response.headers["content-disposition"]
        scope = {"type": "http", "method": "GET", "headers": [], "path": "/"}
        try:
            await response(scope, receive, send)
        except OSError:
            assert gone
        return body

    assert run(work()) or gone
    assert (left(spool), spool.held_bytes) == ([], 0)
