"""Who speaks, as a service tells it: that takes one that was started with a model of voices."""

from __future__ import annotations

import math
from collections.abc import Iterator

import openai
import pytest
from openai.types.audio import TranscriptionTextSegmentEvent

from helpers.clips import EXAMPLES
from helpers.oracles import campplus
from helpers.server.running import Running
from helpers.server.transcribing import environment, transcribing

CALL = EXAMPLES / "call.mp3"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    voices = campplus.publish(folder / "voices")
    with (
        environment(OVERTONE_SPEAKERS="1", OVERTONE_SPEAKER_MODEL=str(voices), OVERTONE_NUM_SPEAKERS="2"),
        transcribing(folder) as running,
    ):
        yield running


def test_speakers_come_from_the_environment(service: Running) -> None:
    assert service.http.get("/readyz").json()["ready"], "each of the three answers half a second of noise"
    for asked, count in (({}, 2), ({"num_speakers": "1"}, 1)):
        answer = service.http.post("/v1/transcribe", files={"file": CALL.read_bytes()}, params=asked)
        assert answer.status_code == 200, answer.text
        record = answer.json()
        assert record["speakers"] == count
        assert {said["speaker"] for said in record["sentences"]} == {*range(count)}
        assert record["models"]["speakers"] == "voices"
    verbose = service.http.post(
        "/v1/audio/transcriptions", files={"file": CALL.read_bytes()}, data={"response_format": "verbose_json"}
    ).json()
    assert all("speaker" in segment for segment in verbose["segments"])


def test_speakers_are_segments_of_diarized_json(service: Running) -> None:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        said = client.audio.transcriptions.create(
            model="whisper-1", file=CALL, response_format="diarized_json", chunking_strategy="auto"
        )
        record = service.http.post("/v1/transcribe", files={"file": CALL.read_bytes()}).json()
        assert (said.task, said.text, said.duration) == ("transcribe", record["text"], record["duration"])
        assert [(one.type, one.id) for one in said.segments] == [
            ("transcript.text.segment", f"seg_{at}") for at in range(len(record["sentences"]))
        ]
        told = [(one.start, one.end, one.text, one.speaker) for one in said.segments]
        assert told == [(s["start"], s["end"], s["text"], "AB"[s["speaker"]]) for s in record["sentences"]]
        assert said.usage.seconds == math.ceil(record["duration"])
        events = list(
            client.audio.transcriptions.create(
                model="whisper-1", file=CALL, response_format="diarized_json", stream=True
            )
        )
        assert [event for event in events if event.type == "transcript.text.segment"] == [
            TranscriptionTextSegmentEvent.model_validate(one.model_dump()) for one in said.segments
        ]
        assert (events[-1].type, events[-1].text) == ("transcript.text.done", said.text)
