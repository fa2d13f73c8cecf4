"""What is said in a file, asked of the service with OpenAI's own client.

    pip install openai
    python openai_client.py call.mp3
    python openai_client.py call.mp3 --form srt > call.srt

The service has to write speech down: `overtone serve --transcriber sensevoice`. Where it asks for keys, OVERTONE_KEY
holds one.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from openai import APIConnectionError, APIStatusError, OpenAI

FORMS = ["text", "srt", "vtt", "verbose_json"]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--url", default="http://127.0.0.1:8765")
    parser.add_argument("--form", choices=FORMS, default="verbose_json")
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    # The client asks again by itself where the service is too busy, after as long as the service says.
    client = OpenAI(base_url=f"{asked.url}/v1", api_key=os.environ.get("OVERTONE_KEY", "none"))
    try:
        with client:
            print(told(client, asked.path, asked.form), end="")
    except (APIConnectionError, APIStatusError, OSError) as error:
        raise SystemExit(str(error)) from None


def told(client: OpenAI, path: Path, form: str) -> str:
    """What is said, as text or subtitles; or sentence by sentence, with who speaks in what mood where that is known."""
    if form != "verbose_json":
        return str(client.audio.transcriptions.create(model="whisper-1", file=path, response_format=form))  # type: ignore[call-overload]  # any of its words
    said = client.audio.transcriptions.create(model="whisper-1", file=path, response_format="verbose_json")
    lines = []
    for segment in said.segments or []:
        more = segment.model_extra or {}  # what is not OpenAI's
        who = f"speaker {more['speaker'] + 1}, " if "speaker" in more else ""
        lines.append(f"{segment.start:8.2f} {segment.end:8.2f}  {who}{more.get('emotion', '')}: {segment.text}\n")
    return "".join([*lines, f"{path.name}: {said.duration:.1f} s, {said.language}\n"])


if __name__ == "__main__":
    main()
