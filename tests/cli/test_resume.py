"""A run that is killed, and goes on: every input once, the same answers, whatever the moment."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from helpers.command import answers, finish, lines, start
from helpers.waiting import until
from overtone.cli.app import run

FILES = 300


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of short stereo files, every ninth of them broken."""
    folder = tmp_path_factory.mktemp("short")
    both = np.stack([voice(3.0, 1), voice(3.0, 2)])
    for index in range(FILES):
        data = audio_files.wav16(both[:, index * 40 : 16_000 + index * 80])
        (folder / f"{index:03}.wav").write_bytes(b"broken" if index % 9 == 4 else data)
    return folder


def _arguments(checkpoint: Path, out: Path, *inputs: Path) -> list[str]:
    # Small batches, so that there are many moments to be killed at.
    return [
        "emotion",
        "--model",
        str(checkpoint),
        "--threads",
        "1",
        "--batch-size-s",
        "5",
        "-o",
        str(out),
        *map(str, inputs),
    ]


def _inputs(folder: Path, *, broken: bool) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if broken or path.stat().st_size > 100]


def _kill_after(child: Any, out: Path, more_lines: int, random_s: float) -> bool:
    """Kill the child once it has written so many lines more, and a moment; whether it was still at work."""
    before = _line_count(out)
    until(lambda: child.poll() is not None or _line_count(out) >= before + more_lines, "that is written", pause_s=0.002)
    time.sleep(random_s)  # the moment is what varies
    at_work = child.poll() is None
    child.kill()
    finish(child)
    return at_work


def _line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _by_input(records: list[dict[str, Any]]) -> dict[tuple[str, int | None], dict[str, Any]]:
    found = {(record["source"], record.get("channel")): record for record in records}
    assert len(found) == len(records), "an input is there twice"
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal, numbers to 1e-5: they come from other batches."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one == other


@pytest.mark.parametrize(("more", "broken", "kills"), [([], False, 4), (["--channels", "split"], True, 3)])
def test_killed_and_resumed(short, small_checkpoint, tmp_path, more, broken, kills):
    inputs = _inputs(short, broken=broken)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    moments = random.Random(kills)
    killed = 0
    for index in range(kills):
        resume = ["--resume"] if index else []
        child = start(*_arguments(small_checkpoint, out, *inputs), *more, *resume)
        # The last is killed before it can have written anything.
        lines_more = moments.randrange(1, 12) if index < kills - 1 else 0
        killed += _kill_after(child, out, lines_more, moments.uniform(0, 0.05))
        if index == 1:
            data = out.read_bytes()
            out.write_bytes(data[:-7])  # as a machine that lost power leaves it
    assert killed == kills, "too fast to be killed; give it more files"
    code, _, err = finish(start(*_arguments(small_checkpoint, out, *inputs), *more, "--resume"))
    assert code == (1 if broken else 0)
    assert "were done before" in err

    assert run([*_arguments(small_checkpoint, whole, *inputs), *more]) == code
    expected, found = (_by_input(answers(lines(path.read_text()))) for path in (whole, out))
    assert found.keys() == expected.keys()
    assert {source for source, _ in found} == set(map(str, inputs))
    for key, record in expected.items():
        assert _same(record, found[key]), key


def test_resuming_a_finished_run_changes_nothing(short, small_checkpoint, tmp_path, capsys):
    inputs = _inputs(short, broken=False)[:5]
    out = tmp_path / "out.jsonl"
    assert run(_arguments(small_checkpoint, out, *inputs)) == 0
    before = out.read_bytes()
    assert run([*_arguments(small_checkpoint, out, *inputs), "--resume"]) == 0
    assert out.read_bytes() == before
    assert "5 were done before" in capsys.readouterr().err
