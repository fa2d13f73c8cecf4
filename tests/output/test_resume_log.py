"""Side files: wherever a run is stopped, the output of the one that goes on is that of a run without a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helpers.results import LABELS, failed, failed_transcript, frames, result, segment, sentence, transcript
from overtone.errors import UsageError
from overtone.output.finished import Finished
from overtone.output.formats import open_sink
from overtone.output.json_text import parse_json
from overtone.output.resume import key_of
from overtone.output.resume_log import ENDING, ResumeLog
from overtone.results import Result, Timings

RUN = {"task": "emotion", "model": "tiny", "precision": "fp32"}


class StoppedError(Exception):
    """The process is gone."""


def run(path: Path, inputs: Iterable[list[Result]], *, resume: bool, stop_after: int | None = None, **form: Any) -> int:
    """What a command does with its inputs, each with its results; the number that were new. Raises StoppedError."""
    kind = {"granularity": "segment", "labels": LABELS, "many": True, **form}
    todo = list(inputs)
    new = 0
    log = ResumeLog(str(path) + ENDING, RUN, resume=resume)
    with Finished(log=log) as done, open_sink(str(path), **kind) as sink:

        def results() -> Iterable[Result]:
            for one in todo:
                if done.expect(key_of(one[0].source, one[0].id)):
                    yield from one

        ok = True
        for value, fresh in done.in_order(results()):
            if fresh:
                if new == stop_after:
                    raise StoppedError
                done.add(value)
                new += 1
                ok = ok and value.ok
            sink.write(value)
        if ok:
            done.finish()
    return new


ODD = segment(0, 30_001, (0.123456789, 0.7, 0.1))
"""No whole number of milliseconds, and more digits than a record has."""

EMOTIONS: list[list[Result]] = [
    [result("a.wav", segments=[ODD, segment(30_001, 48_008, None)], timings=Timings(run_s=1 / 3, notes=("halved",)))],
    [failed("broken.wav")],
    [result("通话\udc80.wav", id="u\n1", warnings=("clipped",), score=float("nan"))],
    [result("two.wav", channel=0, channels=2), result("two.wav", channel=1, channels=2)],
    [result("dir/a.wav", segments=[segment(i * 17, i * 17 + 17, (0.1, 0.2, 0.7)) for i in range(50)])],
]

WORDS: list[list[Result]] = [
    [transcript("a.wav", sentences=[sentence(i / 3, i / 3 + 0.3001, f"It is {i}.", speaker=i % 2) for i in range(40)])],
    [failed_transcript("broken.wav")],
    [transcript("b.wav", speakers=1)],
]

FORMS = [
    *((f"out.{kind}", EMOTIONS, {}) for kind in ("json", "csv", "parquet", "rttm")),
    *((f"{{name}}.{kind}", EMOTIONS, {}) for kind in ("srt", "vtt", "txt", "jsonl", "csv")),
    *((f"out.{kind}", EMOTIONS[:1], {"many": False}) for kind in ("srt", "vtt", "txt")),
    *((f"out.{kind}", WORDS, {"granularity": "word"}) for kind in ("json", "csv", "parquet", "rttm")),
    *((f"{{name}}.{kind}", WORDS, {"granularity": "word"}) for kind in ("srt", "vtt", "txt")),
]


def made(folder: Path) -> dict[str, bytes]:
    """What is in a folder but side files, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(ENDING)}


@pytest.mark.parametrize(("name", "inputs", "form"), FORMS)
def test_a_run_that_goes_on_writes_what_one_without_a_stop_does(
    tmp_path: Path, name: str, inputs: list[list[Result]], form: dict[str, Any]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    run(whole / name, inputs, resume=False, **form)
    number = sum(map(len, inputs))
    for count in range(number + 1):
        for left in stopped.glob("*") if stopped.exists() else ():
            left.unlink()
        stopped.mkdir(exist_ok=True)
        if count < number:
            with pytest.raises(StoppedError):
                run(stopped / name, inputs, resume=False, stop_after=count, **form)
        run(stopped / name, inputs, resume=True, **form)
        assert made(stopped) == made(whole), f"stopped after {count}"


def test_frames_come_back_bit_for_bit(tmp_path: Path) -> None:
    form = {"granularity": "frame"}
    with ExitStack() as stack:
        some, bare = stack.enter_context(frames(9000)), stack.enter_context(frames(10, labels=()))
        inputs: list[list[Result]] = [
            [result("long.wav", frames=some)],
            [result("bare.wav", frames=bare)],
            [result("last.wav")],
        ]
        for name in ("out.json", "out.csv"):
            run(tmp_path / name, inputs, resume=False, **form)
            before = (tmp_path / name).read_bytes()
            with pytest.raises(StoppedError):
                run(tmp_path / name, inputs, resume=False, stop_after=2, **form)
            assert run(tmp_path / name, inputs, resume=True, **form) == 1
            assert (tmp_path / name).read_bytes() == before


def test_a_side_file_that_ends_anywhere(tmp_path: Path) -> None:
    inputs = EMOTIONS[2:]
    run(tmp_path / "whole.csv", inputs, resume=False)
    expected = (tmp_path / "whole.csv").read_bytes()
    path, side = tmp_path / "out.csv", tmp_path / f"out.csv{ENDING}"
    with pytest.raises(StoppedError):
        run(path, inputs, resume=False, stop_after=3)
    content = side.read_bytes()
    for size in range(0, len(content) + 1, 3):
        side.write_bytes(content[:size])
        run(path, inputs, resume=True)
        assert path.read_bytes() == expected, f"cut after {size} bytes"
        assert not side.exists()


def test_only_what_failed_is_done_again(tmp_path: Path) -> None:
    path, side = tmp_path / "out.csv", tmp_path / f"out.csv{ENDING}"
    run(path, EMOTIONS, resume=False)
    assert side.exists()
    mended = [[result("broken.wav")] if one[0].source == "broken.wav" else one for one in EMOTIONS]
    assert run(path, mended, resume=True) == 1
    assert not side.exists()
    run(tmp_path / "whole.csv", mended, resume=False)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_input_without_all_its_channels_is_done_again(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(tmp_path / "out.csv", EMOTIONS[3:4], resume=False, stop_after=1)
    assert run(tmp_path / "out.csv", EMOTIONS[3:4], resume=True) == 2


def test_a_run_that_got_nowhere_leaves_no_side_file(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(tmp_path / "out.csv", EMOTIONS, resume=False, stop_after=0)
    assert os.listdir(tmp_path) == []


def side_of(tmp_path: Path) -> Path:
    with pytest.raises(StoppedError):
        run(tmp_path / "out.csv", EMOTIONS[2:], resume=False, stop_after=2)
    return tmp_path / f"out.csv{ENDING}"


@pytest.mark.parametrize(("key", "value"), [("model", "base"), ("precision", "int8"), ("labels", "a, b")])
def test_another_run_is_refused(tmp_path: Path, key: str, value: str) -> None:
    side = side_of(tmp_path)
    before = side.read_bytes()
    with pytest.raises(UsageError, match=rf"{side} is of {key} .*, and this run of {key} {value}.*overwrite") as caught:
        ResumeLog(str(side), RUN | {key: value}, resume=True)
    assert caught.value.code == "other_run"
    assert side.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "number"),
    [
        (lambda text: b"notes to self\n" + text, 1),
        (lambda text: b"[" * 100_000 + b"\n", 1),
        (lambda text: b"9" * 5000 + b"\n", 1),
        (lambda text: b"[1, 2]\n", 1),
        (lambda text: text.replace(b'"version": 2', b'"version": 1'), 1),
        (lambda text: text.replace(b'"happy": 0.3', b'"happy": 0.4', 1), 4),
        (lambda text: text.replace(b'{"segments"', b'{"sentiment"', 1), 3),
        (lambda text: text.replace(b'{"end": ', b'{"end": 1', 1), 4),
    ],
)
def test_a_file_that_is_broken_or_of_another_kind_is_named_with_the_remedy(
    tmp_path: Path, spoil: Any, number: int
) -> None:
    side = side_of(tmp_path)
    side.write_bytes(spoiled := spoil(side.read_bytes()))
    with pytest.raises(UsageError, match=rf"{side}, line {number}: .*another -o, or overwrite") as caught:
        ResumeLog(str(side), RUN, resume=True)
    assert caught.value.code == "broken_journal"
    assert side.read_bytes() == spoiled


@pytest.mark.parametrize(("text", "reason"), [("[" * 100_000, "nested too deeply"), ("1" * 5000, "a number of 5000")])
def test_json_that_is_no_fault_of_this_program(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    assert parse_json(json.dumps({"a": [1, -2.5, None]})) == {"a": [1, -2.5, None]}
