"""The service from Python: a file answered at once, a folder through jobs, speech while it is spoken.

    pip install httpx websockets
    python client.py file call.mp3
    python client.py folder recordings/ > out.jsonl
    python client.py live call.wav

Where the service asks for keys, OVERTONE_KEY holds one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import uuid
import wave
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlencode

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

ATTEMPTS = 5
"""Times that a service which is too busy, or whose answer was lost, is asked."""

JOB_FILES, JOB_BYTES = 200, 200 << 20
"""Of one job: less than the service takes by default, which is 1000 files and 256 MiB."""

PIECE_S = 0.1
"""Seconds of audio in each message of a live stream."""

KEY = os.environ.get("OVERTONE_KEY")
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--url", default="http://127.0.0.1:8765")
    parser.add_argument("what", choices=["file", "folder", "live"])
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    # The service gives an answer up after two minutes; a job's events come every fifteen seconds at the least.
    with httpx.Client(base_url=asked.url, headers=HEADERS, timeout=httpx.Timeout(30, read=150)) as client:
        try:
            if asked.what == "file":
                one_file(client, asked.path)
            elif asked.what == "folder":
                folder(client, asked.path)
            else:
                live(asked.url, asked.path)
        except (httpx.TransportError, OSError, wave.Error) as error:
            raise SystemExit(str(error)) from None


def one_file(client: httpx.Client, path: Path) -> None:
    """Ask for the emotion of a file, and wait for it."""
    answer = send(client, "/v1/emotion", [path])
    for line in answer.text.splitlines():
        record = json.loads(line)
        for segment in record["segments"]:
            print(f"{segment['start']:8.2f} {segment['end']:8.2f}  {segment['label']}")
        print(f"{record['source']}: {record['label']} ({record['score']})")
    print(f"cache: {answer.headers['x-overtone-cache']}; {answer.headers['server-timing']}", file=sys.stderr)


def folder(client: httpx.Client, path: Path) -> None:
    """Hand in all files of a folder, some at a time, and print their records as JSON lines."""
    for some in batches(sorted(file for file in path.rglob("*") if file.is_file())):
        job = send(client, "/v1/jobs", some, key=str(uuid.uuid4()), granularity="utterance").json()
        follow(client, job["links"]["events"])
        with client.stream("GET", job["links"]["result"]) as answer:
            for line in checked(answer).iter_lines():
                print(line)
        checked(client.delete(job["links"]["self"]))


def batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The files in order, as many at a time as one job takes."""
    batch: list[Path] = []
    held_bytes = 0
    for file in files:
        size_bytes = file.stat().st_size
        if batch and (len(batch) == JOB_FILES or held_bytes + size_bytes > JOB_BYTES):
            yield batch
            batch, held_bytes = [], 0
        batch.append(file)
        held_bytes += size_bytes
    if batch:
        yield batch


def send(
    client: httpx.Client, path: str, audio: Sequence[Path], key: str | None = None, **options: str
) -> httpx.Response:
    """Send files. A service that is too busy says when to come back, and is asked again then.

    key: of a job, which is then handed in again where the answer was lost, and is one job all the same.
    """
    headers = {} if key is None else {"Idempotency-Key": f'"{key}"'}
    for left in reversed(range(ATTEMPTS)):
        try:
            with ExitStack() as opened:
                parts = [("file", (file.name, opened.enter_context(file.open("rb")))) for file in audio]
                answer = client.post(path, files=parts, params=options, headers=headers)
        except httpx.TransportError:
            if key is None or not left:
                raise
            time.sleep(1)
            continue
        # 409: the request of before is still being received.
        if answer.status_code not in (409, 429, 503) or "retry-after" not in answer.headers or not left:
            break
        time.sleep(float(answer.headers["retry-after"]))
    return checked(answer)


def follow(client: httpx.Client, events: str) -> None:
    """Say how far a job is until it is finished. A job outlives its service: once that is back, it is asked again."""
    while True:
        with suppress(httpx.TransportError), client.stream("GET", events) as answer:
            for line in checked(answer).iter_lines():
                name, _, value = line.partition(": ")
                if name == "event" and value == "end":
                    return
                if name == "data":
                    job = json.loads(value)
                    seconds, files = job["seconds"], job["files"]
                    finished = files["done"] + files["failed"]
                    print(
                        f"{finished} of {sum(files.values())} files, {seconds['done']:.0f} of {seconds['total']:.0f} s",
                        file=sys.stderr,
                    )
        time.sleep(1)


def live(url: str, path: Path) -> None:
    """Send a WAV file as fast as it was spoken, and print what is heard while it is."""
    with wave.open(str(path)) as audio:
        if audio.getsampwidth() != 2:
            raise SystemExit(f"{path}: the samples have to have 16 bits")
        query = urlencode({"rate": audio.getframerate(), "channels": audio.getnchannels(), "name": path.name})
        address = f"{url.replace('http', 'ws', 1)}/v1/stream?{query}"
        try:
            with connect(address, additional_headers=HEADERS) as socket:
                threading.Thread(target=speak, args=(socket, audio), daemon=True).start()
                listen(socket)
        except InvalidStatus as error:
            raise SystemExit(problem(error.response.status_code, (error.response.body or b"").decode())) from None


def speak(socket: ClientConnection, audio: wave.Wave_read) -> None:
    """Send the audio piece by piece, and say that it is over."""
    with suppress(ConnectionClosed):  # whoever listens says why
        while piece := audio.readframes(round(PIECE_S * audio.getframerate())):
            socket.send(piece)
            time.sleep(PIECE_S)
        socket.send("end")


def listen(socket: ClientConnection) -> None:
    """Print what the service says until it has said all."""
    for text in socket:
        message = json.loads(text)
        if message["type"] == "emotion":
            print(f"{message['start']:8.2f} {message['end']:8.2f}  {message['label']}", flush=True)
        elif message["type"] == "summary":
            record = message["record"]
            print(f"{record['source']}: {record['label']} ({record['score']})")
        elif message["type"] == "error":
            raise SystemExit(problem(message["status"], text))


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, or the end with what the service says is wrong."""
    if answer.is_error:
        raise SystemExit(problem(answer.status_code, answer.read().decode(errors="replace")))
    return answer


def problem(status: int, body: str | bytes) -> str:
    """An error in one line. What is not the service's own, such as a page of a proxy's, is shown as it is."""
    try:
        told = json.loads(body)
        return f"{told['code']}: {told['detail']} (request {told['request_id']})"
    except (ValueError, TypeError, KeyError):
        return f"{status}: {body[:200]!r}"


if __name__ == "__main__":
    main()
