"""Damaged files of every container: an answer or an error for each, never a crash and never a hang.

FUZZ_CASES=10000 in the environment runs so many cases, FUZZ_FIRST=5000 begins at that one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import fuzzing
from helpers.audio_files import encoded, voice
from helpers.command import environment, finish, lines, start
from helpers.fuzz_material import KINDS
from helpers.paths import TESTS
from overtone import EmotionRecognizer
from overtone.audio.inputs import SUFFIXES

CASES = int(os.environ.get("FUZZ_CASES", "1000"))
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))
IN_A_FOLDER = len(KINDS)
"""Cases for the command line: every kind of file."""

CASE_TIMEOUT_S = 2.0
"""Seconds that a case may take on average, on a busy machine; some 0.02 is usual."""


@pytest.mark.usefixtures("recognizer")  # has converted the checkpoint; the child would say that it does
def test_the_pipeline(small_checkpoint: Path) -> None:
    env = environment()
    env["PYTHONPATH"] += os.pathsep + str(TESTS)
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "helpers.fuzzing", str(small_checkpoint), str(FIRST), str(CASES)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    code, out, err = finish(child, timeout_s=60 + CASES * CASE_TIMEOUT_S)
    assert code == 0, err
    assert err == ""
    found = json.loads(out)
    assert found["wrong"] == {}
    # Damage that is never noticed, or always, tests nothing.
    assert found["outcomes"]["ok"] > CASES / 20
    assert found["outcomes"]["not_audio"] > CASES / 50


@pytest.mark.parametrize("more", [[], ["--channels", "split", "--granularity", "frame", "--embeddings", "npz"]])
def test_the_command_line(small_checkpoint: Path, tmp_path: Path, more: list[str]) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(FIRST + CASES, FIRST + CASES + IN_A_FOLDER):
        name, data = fuzzing.damaged(number)
        if Path(name).suffix in SUFFIXES:  # others are not looked for in a folder
            (folder / name).write_bytes(data)
    assert len(os.listdir(folder)) > IN_A_FOLDER / 2
    code, out, err = finish(start("emotion", "--model", small_checkpoint, "damaged", *more, cwd=tmp_path))
    assert code in (0, 1)
    assert "Traceback" not in err
    records = lines(out)
    assert [r["source"] for r in records if r.get("channel", 0) == 0] == [
        os.path.join("damaged", name) for name in sorted(os.listdir(folder))
    ]
    assert (code == 1) == any(record["error"] for record in records)
    assert err.count("error: ") == sum(record["error"] is not None for record in records)


def test_a_file_whose_channel_count_changes(small_checkpoint: Path) -> None:
    """All of it is used, and the result says so; channels are those of the beginning."""
    mono, stereo = (encoded(voice(2.0, channels=n), 16_000, "adts", "aac") for n in (1, 2))
    with EmotionRecognizer(str(small_checkpoint), threads=1, channels="split") as recognizer:
        (result,) = recognizer.stream([mono + stereo])
    assert result.ok
    assert result.channels == 1
    assert result.duration == pytest.approx(4.1, abs=0.2)
    assert any("channel count changes from 1 to 2" in warning for warning in result.warnings)
