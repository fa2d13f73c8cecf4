"""The services that are asked: with the bundled model, with recognizers, with keys and narrow limits."""

from __future__ import annotations

import subprocess
from pathlib import Path

from answering.place import Place
from answering.routes import about, job, jobs, metrics, page, stream, streams
from answering.running import OVERTONE
from answering.service import Fields, Service, serving


def emotions(place: Place) -> str:
    """The service with the bundled model and a page: files, jobs, streams, and what it says of itself."""
    with serving(place, "service-emotions", "--page") as service:
        about(service)
        page(service)
        _files(service)
        _wrong(service)
        jobs(service, "emotion", "granularity=frame")
        streams(service)
        metrics(service)
    return "".join(service.told)


SPEAKING = {
    "OVERTONE_SPEAKERS": "1",
    "OVERTONE_SPEAKER_MODEL": "models/campplus",
    "OVERTONE_VAD": "models/fsmn-vad",
}


def transcripts(place: Place) -> str:
    """The service with a SenseVoice and all that goes with it, without a page."""
    flags = ("--no-page", "--transcriber", "models/sensevoice")
    with serving(place, "service-transcripts", *flags, **SPEAKING) as service:
        about(service)
        _transcribed(service)
        _openai(service)
        jobs(service, "transcribe", "language=en")
        metrics(service)
    return "".join(service.told)


def hot_words(place: Place) -> str:
    """The service with a Paraformer that listens for words, and a model that writes marks."""
    flags = ("--no-page", "--transcriber", "models/paraformer-seaco")
    with serving(place, "service-words", *flags, OVERTONE_PUNCTUATION="models/ct-transformer") as service:
        for path in ("/v1/transcribe", "/v1/transcribe?hotwords=sensible+the+cat", "/v1/transcribe?language=en"):
            service.send(path, (("a.wav", "made/joined.wav"),))
        some: tuple[Fields, ...] = (
            {},
            {"prompt": "sensible the cat", "response_format": "verbose_json"},
            {"keywords[]": ["cat", "sea"], "language": "zh", "response_format": "vtt"},
        )
        for fields in some:
            service.send("/v1/audio/transcriptions", (("a.wav", "made/joined.wav"),), data=fields)
    return "".join(service.told)


def guarded(place: Place) -> str:
    """The service with keys and narrow limits."""
    keys = place.folder / "written" / "keys.json"
    add = [*OVERTONE, "keys", "add", "--file", str(keys), "alice"]
    made = subprocess.run(
        add, cwd=place.folder, env=place.environment, capture_output=True, encoding="utf-8", check=True
    )
    limits = ("--max-upload", "200KiB", "--max-audio-s", "5", "--max-job-audio-s", "8", "--max-files", "2")
    flags = ("--no-page", "--keys", str(keys), "--cors", "https://example.org", "--cache", "off", *limits)
    with serving(place, "service-guarded", *flags, "--context", "segment") as service:
        _unlocked(service)
        service.client.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
        _locked(service)
    return "".join(service.told)


def _unlocked(service: Service) -> None:
    for path in ("/healthz", "/v1/models", "/metrics", "/v1/jobs/none", "/openapi.json", "/"):
        service.ask("GET", path)
    service.send("/v1/emotion", (("sad.wav", "examples/sad.wav"),))
    service.send("/v1/audio/transcriptions", (("sad.wav", "examples/sad.wav"),))
    service.ask("GET", "/v1/models", headers={"Authorization": "Bearer ot_wrong"})
    service.note("stream without a key", "\n".join(stream(service, "", [])))


def _locked(service: Service) -> None:
    service.ask("GET", "/v1/models")
    service.send("/v1/emotion", (("short", "clips/emodb/wav/03a02Nc.wav"),))
    service.send("/v1/emotion", (("long", "clips/speech/formats/p001.mp3"),))
    service.send("/v1/emotion", (("large", "made/joined.wav"),))
    service.send("/v1/transcribe", (("short", "clips/emodb/wav/03a02Nc.wav"),))
    service.send("/v1/audio/transcriptions", (("short", "clips/emodb/wav/03a02Nc.wav"),))
    three = [(f"{place}.wav", "clips/emodb/wav/03a02Nc.wav") for place in range(3)]
    service.send("/v1/jobs", three)
    service.send("/v1/jobs?task=transcribe", three[:1])
    job(service, "/v1/jobs", (("short.wav", "clips/emodb/wav/03a02Nc.wav"), ("p.mp3", "clips/speech/formats/p001.mp3")))
    for origin in ("https://example.org", "https://example.com"):
        service.ask("GET", "/v1/models", headers={"Origin": origin})
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        service.ask("OPTIONS", "/v1/emotion", headers=asked)


def _files(service: Service) -> None:
    call, sad = ("call.mp3", "examples/call.mp3"), ("sad.wav", "examples/sad.wav")
    for query in (
        *("", "", "?granularity=utterance", "?granularity=frame", "?channels=split", "?labels=published"),
        *("?segment=window&window=2&hop=1", "?max_segment=5", "?keep_silence=true", "?embeddings=true", "?model=tiny"),
    ):
        service.send(f"/v1/emotion{query}", (call,))
        service.send(f"/v1/emotion{query}", (sad,))
    service.send("/v1/emotion", (sad,), data={"granularity": "utterance", "labels": "published"})
    body = service.read("examples/happy.wav")
    for kind in ("audio/wav", "application/octet-stream", "video/mp4"):
        service.ask("POST", "/v1/emotion?name=mine.wav", content=body, headers={"Content-Type": kind})
    for query in ("", "?granularity=frame", "?channels=split", "?format=npz", "?format=npz&granularity=frame"):
        service.send(f"/v1/embeddings{query}", (sad,))
    for name in ("silence", "noise", "talkers", "telephone"):
        service.send("/v1/emotion", ((f"{name}.wav", f"made/{name}.wav"),))
        service.send("/v1/embeddings?format=npz", ((f"{name}.wav", f"made/{name}.wav"),))


def _wrong(service: Service) -> None:
    sad = ("sad.wav", "examples/sad.wav")
    for query in (
        *("hop=soon", "hop=1&hop=2", "hops=1", "model=other", "granularity=word", "segment=none", "max_segment=90"),
        *("embeddings=perhaps", "window=60&segment=window", "name=a"),
    ):
        service.send(f"/v1/emotion?{query}", (sad,))
    service.send("/v1/emotion?granularity=utterance", (sad,), data={"granularity": "frame"})
    service.send("/v1/emotion", (sad, sad))
    service.send("/v1/emotion", (sad,), field="other")
    service.send("/v1/embeddings?format=csv", (sad,))
    service.send("/v1/transcribe", (sad,))
    service.send("/v1/audio/transcriptions", (sad,))
    for name in ("made/list.txt", "made/short.wav", "clips/speech/formats/mono.empty.wav"):
        service.send("/v1/emotion", ((Path(name).name, name),))
    for name in ("mono.invalid.wav", "mono.zero.wav"):
        service.send("/v1/emotion", ((f"../{name}", f"clips/speech/formats/{name}"),))
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "audio/wav", "Content-Encoding": "gzip"},
        {},
    ):
        service.ask("POST", "/v1/emotion", content=b"abc", headers=headers)
    service.ask("POST", "/v1/emotion")


def _transcribed(service: Service) -> None:
    joined, call = ("joined.wav", "made/joined.wav"), ("call.mp3", "examples/call.mp3")
    for query in (
        *("", "", "?detail=text", "?detail=sentence", "?language=zh", "?itn=false", "?num_speakers=2"),
        *("?max_segment=5", "?channels=split", "?model=models/sensevoice"),
    ):
        service.send(f"/v1/transcribe{query}", (joined,))
        service.send(f"/v1/transcribe{query}", (call,))
    for query in (
        *("language=de", "hotwords=a", "num_speakers=two", "itn=perhaps", "detail=letter", "granularity=frame"),
        *("max_segment=100", "model=whisper-1"),
    ):
        service.send(f"/v1/transcribe?{query}", (joined,))
    for name in ("silence", "noise", "short"):
        service.send("/v1/transcribe", ((f"{name}.wav", f"made/{name}.wav"),))
    service.send("/v1/emotion", (call,))
    service.send("/v1/embeddings", (joined,))


def _openai(service: Service) -> None:
    joined = ("joined.wav", "made/joined.wav")
    path = "/v1/audio/transcriptions"
    for form in ("json", "text", "srt", "vtt", "verbose_json"):
        service.send(path, (joined,), data={"model": "whisper-1", "response_format": form})
    some: tuple[Fields, ...] = (
        {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
        {"language": "en", "temperature": "0.5", "prompt": "a word"},
        {"language": "german"},
        {"response_format": "xml"},
        {"temperature": "9"},
        {"stream": "true"},
        {"model": "gpt-4o-transcribe"},
        {"nope": "1"},
        {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
    )
    for fields in some:
        service.send(path, (joined,), data=fields)
    service.send(path, (("list.txt", "made/list.txt"),))
    service.send(path, (("short.wav", "made/short.wav"),))
    service.ask("POST", path)
    service.ask("GET", path)
    service.ask("POST", "/v1/audio/translations")
    service.ask("GET", "/v1/audio/nowhere")


GROUPS = {"emotions": emotions, "guarded": guarded, "transcripts": transcripts, "words": hot_words}
WITHOUT_CHECKPOINTS = ("emotions", "guarded")
