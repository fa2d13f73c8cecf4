"""What every service is asked: what it says of itself, jobs, streams."""

from __future__ import annotations

import contextlib
import json
import subprocess
import wave
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from answering.running import OVERTONE, PATIENCE_S
from answering.service import Files, Service, without_id
from answering.texts import without_numbers


def about(service: Service) -> None:
    """What it says of itself, and of addresses and methods that there are not."""
    for path in ("/healthz", "/readyz", "/v1/models", "/openapi.json"):
        service.ask("GET", path)
    service.ask("GET", "/v1/plan?seconds=600")
    service.ask("GET", "/v1/plan")
    service.ask("GET", "/v1/plan?seconds=never")
    service.ask("GET", "/healthz", headers={"X-Request-Id": "my-own.1"})
    service.ask("GET", "/healthz", headers={"Host": "example.org"})
    service.ask("GET", "/v1/models", headers={"Origin": "https://example.org"})
    for method, path in (("PUT", "/v1/emotion"), ("GET", "/v1/emotion"), ("DELETE", "/healthz"), ("GET", "/nowhere")):
        service.ask(method, path)
    service.ask("HEAD", "/healthz")
    service.ask("OPTIONS", "/v1/emotion")


def page(service: Service) -> None:
    """What there is on the page; its script is Gradio's."""
    shown = service.client.get("/")
    service.note("page", f"{shown.status_code} {shown.headers['content-type']}\n")
    said = service.client.get("/config").json()
    lines = [json.dumps([one["type"], _text_of(one["props"])], ensure_ascii=False) for one in said["components"]]
    service.note("parts of the page", "\n".join(lines) + "\n")


def _text_of(props: Mapping[str, Any]) -> dict[str, Any]:
    names = ("label", "value", "choices", "placeholder", "info", "elem_id", "visible", "interactive")
    return {name: props[name] for name in names if props.get(name) is not None}


def job(service: Service, path: str, files: Files) -> str:
    """Hand in a job that is taken, and wait for its end; where it is."""
    parts = [("file", (name, service.read(which))) for name, which in files]
    handed_in = service.client.post(path, files=parts)
    told = handed_in.json()
    service.ids[told["id"]] = f"<job {len(service.ids)}>"
    # What of it is done by now depends on how fast this is; `seconds` has what is done beside the total.
    told |= dict.fromkeys(("state", "files", "eta_s", "expires"), "<as far as it is>")
    told["seconds"]["done"] = "<as far as it is>"
    service.note(f"POST {path} {[name for name, _ in files]}", f"{handed_in.status_code}\n{json.dumps(told)}\n")
    where = str(told["links"]["self"])
    with service.client.stream("GET", f"{where}/events") as events:
        last = list(events.iter_lines())
    service.note("its last events", "\n".join(last[-6:]) + "\n")  # how many there are depends on that, too
    return where


def jobs(service: Service, task: str, option: str) -> None:
    """Jobs, their results in every form, and what is wrong with them."""
    some = (
        ("call.mp3", "examples/call.mp3"),
        ("joined.wav", "made/joined.wav"),
        ("zero.wav", "clips/speech/formats/mono.zero.wav"),
        ("silence.wav", "made/silence.wav"),
    )
    for query in (f"?task={task}", f"?task={task}&{option}", f"?task={task}&channels=split"):
        where = job(service, f"/v1/jobs{query}", some)
        service.ask("GET", where)
        service.ask("GET", f"{where}/result")
        for format in ("csv", "parquet", "jsonl", "srt", "xyz"):
            service.ask("GET", f"{where}/result?format={format}")
        for format in ("jsonl", "csv", "srt", "vtt", "txt"):
            service.ask("GET", f"{where}/result?format={format}&file=1")
        service.ask("GET", f"{where}/result?file=2")
        service.ask("GET", f"{where}/result?file=17")
        service.ask("POST", where)
    service.ask("DELETE", where)
    service.ask("GET", where)
    service.ask("GET", f"{where}/result")
    service.ask("DELETE", where)
    service.ask("GET", "/v1/jobs")
    service.send("/v1/jobs?task=other", some[:1])
    service.send("/v1/jobs?nope=1", some[:1])
    service.ask("POST", "/v1/jobs")
    service.send("/v1/jobs", (("empty.wav", "clips/speech/formats/mono.empty.wav"),))
    job(service, f"/v1/jobs?task={task}", some[2:3])


def stream(service: Service, query: str, messages: Sequence[bytes | str]) -> Iterator[str]:
    """What is said on a stream to which these messages are sent."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    key = service.client.headers.get("Authorization")
    try:
        address = f"ws://127.0.0.1:{service.port}/v1/stream{query}"
        with connect(address, additional_headers={"Authorization": key} if key else {}, proxy=None) as talk:
            with contextlib.suppress(ConnectionClosed):
                for message in messages:
                    talk.send(message)
            with contextlib.suppress(ConnectionClosed):
                while True:
                    yield without_id(str(talk.recv(PATIENCE_S)))
        yield f"closed with {talk.close_code} {talk.close_reason!r}"
    except InvalidStatus as error:
        yield f"refused with {error.response.status_code}: {without_id((error.response.body or b'').decode())}"


def streams(service: Service) -> None:
    """Speech as it is spoken, in both forms, and what is wrong with it."""
    speech = service.place.folder / "clips/speech/wenet/librispeech-1995-1837-0001.wav"
    with wave.open(str(speech)) as file:
        pcm = file.readframes(file.getnframes())
    parts = [pcm[at : at + 3333] for at in range(0, len(pcm), 3333)]
    for query in ("", "?hop=0.5&window=2&granularity=frame&name=mine&labels=published", "?rate=8000&channels=2"):
        service.note(f"stream {query}", "\n".join(stream(service, query, [*parts, "end"])))
    service.note("stream of Opus", "\n".join(stream(service, "?format=opus&channels=2", [*_packets(service), "end"])))
    for query in ("?format=mp3", "?rate=100", "?channels=3", "?hop=soon", "?hop=0.05", "?hops=1", "?window=60"):
        service.note(f"stream {query}", "\n".join(stream(service, query, [])))
    for name, query, sent in (
        ("a text", "", ["hello"]),
        ("no Opus", "?format=opus", [b"\xff" * 100]),
        ("nothing", "", ["end"]),
        ("too much at once", "", [b"\0" * (1 << 21)]),
    ):
        said = list(stream(service, query, sent))
        service.note(f"stream of {name}", "\n".join(said))


def _packets(service: Service) -> list[bytes]:
    """Packets of Opus of a file."""
    import av

    with av.open(str(service.place.folder / "clips/speech/lhotse/stereo.opus")) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def metrics(service: Service) -> None:
    """Names and labels of what is measured, but for how often and how fast; what `overtone top` shows, likewise."""
    text = service.client.get("/metrics").text
    # Whether it was asked before it was ready, and how often until it was, differs.
    lines = [
        line for line in text.splitlines() if "/readyz" not in line and ',le="' not in line and '{le="' not in line
    ]
    names = (line if line.startswith("#") else line.rpartition(" ")[0] for line in lines)
    service.note("metrics", "\n".join(names) + "\n")
    top = [*OVERTONE, "top", service.url, "--once"]
    shown = subprocess.run(
        top, cwd=service.place.folder, env=service.place.environment, capture_output=True, encoding="utf-8", check=False
    )
    words = "\n".join(line.split("  ")[0] for line in shown.stdout.splitlines())
    service.note("top", f"exit {shown.returncode}\n{without_numbers(words)}{shown.stderr}\n")
