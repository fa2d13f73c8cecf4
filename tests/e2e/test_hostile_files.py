"""Files that break decoders, among good ones: each is an error on its own record, and the rest is done."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from helpers.audio_files import wav16
from helpers.clips import EXAMPLES, voice
from helpers.command import finish, start
from helpers.paths import TESTS
from helpers.waiting import until

HOSTILE = {
    "blocksize0.adx": "not_audio",
    "elst_2000.mp4": "bad_header",
    "stsz_50m.mp4": "bad_header",
    "stsz_5m.mp4": "bad_header",
    "table.nsv": "not_audio",
    "tags_1000.mka": None,  # its audio is good
}
"""Codes of the errors of these files, each in a few KiB."""

FOLDER = TESTS / "data" / "hostile"


def records(text: str) -> dict[str, dict[str, object]]:
    return {Path(record["source"]).name: record for record in map(json.loads, text.splitlines())}


@pytest.mark.parametrize("how", [[], ["--decode", "threads"]])
def test_every_file_has_its_record(how: list[str]) -> None:
    sources = [*(str(FOLDER / name) for name in HOSTILE), str(EXAMPLES / "angry.wav")]
    code, out, _ = finish(start("emotion", *sources, "--format", "jsonl", "--memory", "1GiB", *how))
    found = records(out)
    assert code == 1
    assert sorted(HOSTILE) == sorted(path.name for path in FOLDER.iterdir())
    assert found.keys() == {"angry.wav", *HOSTILE}
    assert found["angry.wav"]["label"] == "angry"
    for name, code in HOSTILE.items():
        error = found[name]["error"]
        assert (error and error["code"]) == code, name  # type: ignore[index]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes, nor signals")
def test_a_process_that_dies_over_a_file_takes_no_other_with_it(tmp_path: Path) -> None:
    """As FFmpeg dies over a file that divides by zero in it; here it is killed while it waits for a pipe."""
    pipe = tmp_path / "deadly.wav"
    os.mkfifo(pipe)
    child = start("emotion", str(pipe), str(EXAMPLES / "angry.wav"), "--format", "jsonl", "--memory", "1GiB")
    with os.fdopen(until(lambda: _opened(pipe), "the command opens it for reading"), "wb", buffering=0) as written:
        written.write(wav16(voice(1.0)[None])[:100])  # by which it is known for one that need not seek
        reading = until(
            lambda: [one for one in psutil.Process(child.pid).children() if _reads(one, pipe)], "a process reads it"
        )
        for one in reading:
            one.send_signal(signal.SIGFPE)
        code, out, _ = finish(child)
    found = records(out)
    assert code == 1
    assert found["deadly.wav"]["error"]["code"] == "decoder_died"  # type: ignore[index]
    assert found["angry.wav"]["label"] == "angry"


def _opened(pipe: Path) -> int | None:
    """Its descriptor for writing, once somebody reads it. To open it by name would wait for ever for one that died."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _reads(process: psutil.Process, path: Path) -> bool:
    folder = Path(f"/proc/{process.pid}/fd")
    # One that is only just being started has, for a moment, all that the command has open.
    at_work = "decoder_process" in " ".join(process.cmdline())
    return at_work and any(os.path.realpath(link) == str(path) for link in folder.iterdir())
