"""FunASR behind FastAPI as people run it today, to measure beside.

    python bench/serve_plain.py CHECKPOINT THREADS

One `AutoModel`, and one endpoint that saves the upload to a file and calls `generate` on it. The endpoint is an
`async def` that calls the model itself, as FunASR's own HTTP server (runtime/python/http/server.py) and most of those
made after it have it: requests run one after the other, and while the model works nothing else is answered. A plain
`def` would run up to 40 of them at once on the same cores.

It says `listening on http://127.0.0.1:PORT` on standard error, and ends on SIGTERM.
"""

from __future__ import annotations

import logging
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import funasr
import uvicorn
from fastapi import FastAPI, UploadFile


def app_of(model: Any, folder: Path) -> FastAPI:
    """The application. `model`: FunASR's; `folder`: where uploads are saved."""
    app = FastAPI()

    @app.post("/v1/emotion")
    async def emotion(file: UploadFile) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=Path(file.filename or "").suffix) as saved:
            saved.write(await file.read())
            saved.flush()
            result = model.generate(saved.name, granularity="utterance", extract_embedding=False)[0]
        return {"labels": result["labels"], "scores": [float(score) for score in result["scores"]]}

    return app


def main() -> None:
    """Load the model, listen and answer."""
    checkpoint, threads = sys.argv[1:]
    logging.disable(logging.INFO)
    model = funasr.AutoModel(
        model=checkpoint, device="cpu", ncpu=int(threads), disable_update=True, disable_pbar=True, disable_log=True
    )
    # The protocol is named, or asyncio leaves Nagle's algorithm on, and each answer waits for the client's system.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with tempfile.TemporaryDirectory() as folder, listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app_of(model, Path(folder)), log_level="warning", access_log=False))
        print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", file=sys.stderr, flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
