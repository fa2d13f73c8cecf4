"""Sounds for the command line, and `overtone emotion` in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from overtone.cli.app import run


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a.wav (2 s), b.flac (1.5 s), deep/c.wav (2 s, stereo), deep/broken.wav, notes.txt."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "deep").mkdir()
    (folder / "a.wav").write_bytes(audio_files.wav16(voice(2.0)[None]))
    (folder / "b.flac").write_bytes(audio_files.encoded(voice(1.5, 1)[None], 16_000, "flac", "flac"))
    (folder / "deep" / "c.wav").write_bytes(audio_files.wav16(np.stack([voice(2.0, 2), voice(2.0, 3)])))
    (folder / "deep" / "broken.wav").write_bytes(b"this is no audio" * 30)
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def here(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, as the current one."""
    folder = tmp_path / "here"
    shutil.copytree(sounds, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def emotion(
    here: Path,
    small_checkpoint: Path,
    decoded_here: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """`overtone emotion --model … ARGS` in this process: exit code, standard output and error."""
    monkeypatch.setenv("OVERTONE_THREADS", "1")  # as in `command.environment`

    def call(*arguments: str, command: str = "emotion") -> tuple[int, str, str]:
        code = run([command, "--model", str(small_checkpoint), *arguments])
        return code, *capsys.readouterr()

    return call
