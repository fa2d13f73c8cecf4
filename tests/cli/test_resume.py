"""A run that is killed, and goes on: every input once, the same answers, whatever the moment."""

from __future__ import annotations

import csv
import json
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from helpers.command import answers, finish, lines, start
from helpers.waiting import until
from overtone.cli.app import run
from overtone.output.run_lock import run_lock

FILES = 200
KILLS = 3

IN_THREADS = ["--decode", "threads"]
"""For runs whose processes that decode would only take time to start."""


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


def _same(one: Any, other: Any, abs: float = 1e-5) -> bool:
    """Equal, numbers to `abs`: they come from other batches."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key], abs) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(*both, abs) for both in zip(one, other, strict=True))
    return math.isclose(one, other, rel_tol=0, abs_tol=abs) if isinstance(one, float) else one == other


# Once as by default, with processes that decode.
@pytest.mark.parametrize(("more", "broken"), [([], False), (["--channels", "split", *IN_THREADS], True)])
def test_killed_and_resumed(short, small_checkpoint, tmp_path, more, broken):
    inputs = _inputs(short, broken=broken)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    moments = random.Random(len(more))
    killed = 0
    for index in range(KILLS):
        resume = ["--resume"] if index else []
        child = start(*_arguments(small_checkpoint, out, *inputs), *more, *resume)
        # The last is killed before it can have written anything.
        lines_more = moments.randrange(1, 12) if index < KILLS - 1 else 0
        killed += _kill_after(child, out, lines_more, moments.uniform(0, 0.05))
        if index == 1:
            data = out.read_bytes()
            out.write_bytes(data[:-7])  # as a machine that lost power leaves it
    assert killed == KILLS, "too fast to be killed; give it more files"
    code, _, err = finish(start(*_arguments(small_checkpoint, out, *inputs), *more, "--resume"))
    assert code == (1 if broken else 0)
    assert "were done before" in err

    assert run([*_arguments(small_checkpoint, whole, *inputs), *more]) == code
    expected, found = (_by_input(answers(lines(path.read_text()))) for path in (whole, out))
    assert found.keys() == expected.keys()
    assert {source for source, _ in found} == set(map(str, inputs))
    for key, record in expected.items():
        assert _same(record, found[key]), key


@pytest.mark.usefixtures("decoded_here")
def test_resuming_a_finished_run_changes_nothing(short, small_checkpoint, tmp_path, capsys):
    inputs = _inputs(short, broken=False)[:5]
    out = tmp_path / "out.jsonl"
    assert run(_arguments(small_checkpoint, out, *inputs)) == 0
    before = out.read_bytes()
    assert run([*_arguments(small_checkpoint, out, *inputs), "--resume"]) == 0
    assert out.read_bytes() == before
    assert "5 were done before" in capsys.readouterr().err


def _rows(path: Path) -> list[list[Any]]:
    """What a table or an array says, without how long it took."""
    if path.suffix == ".json":
        return [[record] for record in answers(json.loads(path.read_text(encoding="utf-8")))]
    with path.open(encoding="utf-8", newline="") as file:
        return [[_number(cell) for cell in row] for row in csv.reader(file)]


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def _kill_once_it_has(child: Any, side: Path, results: int) -> bool:
    until(
        lambda: child.poll() is not None or (side.exists() and side.read_bytes().count(b'{"end"') >= results),
        "that is kept",
        pause_s=0.002,
    )
    at_work = child.poll() is None
    child.kill()
    finish(child)
    return at_work


# A score of a frame has four decimals, so two that differ by next to nothing may be rounded to neighbors.
@pytest.mark.parametrize(
    ("name", "more", "apart"), [("out.csv", ["--granularity", "frame"], 1.01e-4), ("out.json", [], 1e-5)]
)
def test_killed_and_resumed_in_other_formats(short, small_checkpoint, tmp_path, name, more, apart):
    """In the order of the inputs, those that fail among them."""
    inputs = _inputs(short, broken=True)[:100]
    more = [*more, *IN_THREADS]
    whole, out = tmp_path / "whole" / name, tmp_path / name
    side = tmp_path / f"{name}.resume.jsonl"
    for index, results in enumerate((5, 30)):
        resume = ["--resume"] if index else []
        child = start(*_arguments(small_checkpoint, out, *inputs), *more, *resume)
        assert _kill_once_it_has(child, side, results), "too fast to be killed; give it more files"
        assert not out.exists()
    code, _, err = finish(start(*_arguments(small_checkpoint, out, *inputs), *more, "--resume"))
    assert code == 1
    assert "were done before" in err
    assert run([*_arguments(small_checkpoint, whole, *inputs), *more]) == 1
    expected, found = _rows(whole), _rows(out)
    assert len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        assert _same(one, other, apart), (one, other)


@pytest.mark.usefixtures("decoded_here")
def test_a_side_file_of_a_stopped_run_is_not_lost_unasked(short, small_checkpoint, tmp_path, capsys):
    good, bad = _inputs(short, broken=False)[:3], _inputs(short, broken=True)[4]
    out, side = tmp_path / "out.csv", tmp_path / "out.csv.resume.jsonl"
    arguments = _arguments(small_checkpoint, out, *good, bad)
    assert run(arguments) == 1
    before = side.read_bytes()
    assert run(arguments) == 2
    assert f"{side} is there" in capsys.readouterr().err
    assert side.read_bytes() == before
    assert run([*arguments, "--resume", "--granularity", "frame"]) == 2
    assert "another -o, or --overwrite" in capsys.readouterr().err
    assert run([*arguments, "--resume"]) == 1
    assert "3 were done before" in capsys.readouterr().err
    # What failed is left out, and there is nothing to do.
    assert run([*_arguments(small_checkpoint, out, *good), "--resume"]) == 0
    assert not side.exists()
    assert run([*_arguments(small_checkpoint, out, *good), "--resume"]) == 2
    assert "a run that has done everything removes it" in capsys.readouterr().err
    assert run([*_arguments(small_checkpoint, out, *good), "--overwrite"]) == 0


@pytest.mark.usefixtures("decoded_here")
def test_embeddings_of_what_was_done_before_stay(short, small_checkpoint, tmp_path):
    good = _inputs(short, broken=False)[:2]
    bad = _inputs(short, broken=True)[4]
    vectors = tmp_path / "vectors"
    arguments = [*_arguments(small_checkpoint, tmp_path / "out.csv", *good, bad), "--embeddings", str(vectors)]
    assert run(arguments) == 1
    before = {path.name: path.stat().st_mtime_ns for path in vectors.iterdir()}
    assert len(before) == 2
    assert run([*arguments, "--resume"]) == 1
    assert {path.name: path.stat().st_mtime_ns for path in vectors.iterdir()} == before


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out/{name}.json"])
@pytest.mark.parametrize("how", [[], ["--resume"], ["--overwrite"]])
def test_two_runs_do_not_write_into_one_output(emotion, here, name, how):
    with run_lock(str(here / name)):
        code, _, err = emotion("a.wav", "-o", name, *how)
    assert code == 2
    assert f"another run is writing into {name}; wait" in err
    assert emotion("a.wav", "-o", name, *how)[0] == 0
    assert not list(here.rglob("*.lock"))


def test_what_another_run_has_finished_meanwhile_is_not_replaced(emotion, here, monkeypatch):
    @contextmanager
    def waited(output: str) -> Iterator[None]:
        Path("out.csv").write_text("of the other run", encoding="utf-8")
        yield

    monkeypatch.setattr("overtone.cli.batch_run.run_lock", waited)
    code, _, err = emotion("a.wav", "-o", "out.csv")
    assert (code, "out.csv is there already" in err) == (2, True)
    assert Path("out.csv").read_text(encoding="utf-8") == "of the other run"


@pytest.mark.parametrize(
    "other", [("--vad", "none"), ("--max-segment", "10"), ("--audio-track", "0"), ("--keep-silence",)]
)
def test_a_run_that_would_answer_otherwise_does_not_go_on(emotion, here, other):
    code, _, _ = emotion("a.wav", "missing.wav", "-o", "out.csv")
    assert code == 1
    before = Path("out.csv.resume.jsonl").read_bytes()
    code, _, err = emotion("a.wav", "missing.wav", "-o", "out.csv", "--resume", *other)
    assert code == 2
    name = other[0].removeprefix("--").replace("-", "_")
    assert f"use the same {name}" in err
    assert Path("out.csv.resume.jsonl").read_bytes() == before
