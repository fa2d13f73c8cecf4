"""What runs in a process that decodes: one request after the other, as `audio.pool` sends them."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import Any, BinaryIO

from overtone.audio.decoder import Decoder
from overtone.errors import InputError, OvertoneError
from overtone.system import subprocess_call


def main() -> None:
    """Serve until whoever started this process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to answer, which then ends this one
    answers = subprocess_call.result_stream()
    try:
        while True:
            path, name = pickle.load(sys.stdin.buffer)
            _serve(path, name, answers)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody reads what closing would write


def _serve(path: str, name: str, answers: BinaryIO) -> None:
    try:
        with Decoder(path, name) as decoder:
            about = {key: getattr(decoder, key) for key in ("channels", "rate", "codec", "container", "claimed_s")}
            _send(answers, "opened", about)
            for block in decoder.channel_blocks():
                _send(answers, "block", block)
            _send(answers, "done", decoder.warnings)
    except OvertoneError as error:
        _send(answers, "error", error)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - it belongs to this input, and the next one is to be served
        text = f"{name}: it met a fault of Overtone's own ({error!r}); please report it"
        _send(answers, "error", InputError(text, code="fault"))


def _send(answers: BinaryIO, kind: str, what: Any) -> None:
    # Waits while the pipe is full: a block or so is all that is ever ahead of its reader.
    pickle.dump((kind, what), answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.flush()
