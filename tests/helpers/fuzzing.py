"""Files damaged in reproducible ways, and a program that runs the pipeline over them.

    PYTHONPATH=tests python -m helpers.fuzzing CHECKPOINT FIRST COUNT

Every case is a pure function of its number. The program prints a JSON object of what it met; it dies, with the stacks
of all threads, where a group of cases hangs. A case that went wrong is looked at with `damaged(number)`. At length:
`make fuzz`.
"""

from __future__ import annotations

import collections
import faulthandler
import itertools
import json
import math
import random
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers import audio_files
from helpers.fuzz_material import originals

GROUP = 20
"""Cases that run in one stream, as good files and bad ones do."""

GROUP_TIMEOUT_S = 60
"""A group of undamaged files takes a fraction of a second."""

LONGEST_S = 3600.0
"""Seconds of audio that a damaged file may turn into; none is made of so few kilobytes in good faith."""

_EXTREMES = (0, 1, 2, 3, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def damaged(number: int) -> tuple[str, bytes]:
    """(name, bytes) of a case."""
    dice = random.Random(number)
    ending, data = originals()[number % len(originals())]
    changed = bytearray(data)
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        damage = dice.choice(_DAMAGES)
        done.append(damage.__name__.strip("_"))
        damage(changed, dice)
        if not changed:
            break
    return f"{number:06}-{'-'.join(done)}.{ending}", bytes(changed)


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 4, 32, 256))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _flip_head(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 2, 8))):
        data[dice.randrange(min(len(data), 128))] = dice.randrange(256)


def _lie(data: bytearray, dice: random.Random) -> None:
    """An extreme number where headers have theirs."""
    for _ in range(dice.choice((1, 1, 3))):
        form = dice.choice(("<I", ">I", "<H", ">H"))
        size = struct.calcsize(form)
        if len(data) > size:
            at = dice.randrange(min(len(data) - size, 400))
            struct.pack_into(form, data, at, dice.choice(_EXTREMES) & (2 ** (8 * size) - 1))


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _hole(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.choice((1, 7, 64, 1000))]


def _zeros(data: bytearray, dice: random.Random) -> None:
    at, size = dice.randrange(len(data)), dice.choice((1, 16, 512))
    data[at : at + size] = bytes(min(size, len(data) - at))


def _splice(data: bytearray, dice: random.Random) -> None:
    other = dice.choice(originals())[1]
    start = dice.randrange(len(other))
    at = dice.randrange(len(data))
    data[at:at] = other[start : start + dice.choice((16, 300, 5000))]


def _swap_head(data: bytearray, dice: random.Random) -> None:
    head = dice.choice(originals())[1][: dice.choice((4, 12, 44, 200))]
    data[: len(head)] = head


def _swap(data: bytearray, dice: random.Random) -> None:
    """Two stretches of the same length, each in the other's place."""
    size = min(dice.choice((4, 40, 700)), len(data) // 2)
    first = dice.randrange(len(data) - 2 * size + 1)
    second = dice.randrange(first + size, len(data) - size + 1)
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


def _duplicate(data: bytearray, dice: random.Random) -> None:
    """A stretch once more, right behind itself."""
    at, size = dice.randrange(len(data)), dice.choice((4, 60, 900))
    data[at:at] = data[at : at + size]


def _lengthen(data: bytearray, dice: random.Random) -> None:
    """An extreme number beside a name of four letters, where containers have the length of a part."""
    names = [at for at in range(min(len(data) - 8, 4000)) if data[at : at + 4].isalpha()]
    if names:
        at = dice.choice(names) + dice.choice((-4, 4, 8, 12))
        struct.pack_into(dice.choice(("<I", ">I")), data, min(max(at, 0), len(data) - 4), dice.choice(_EXTREMES))


def _repeat(data: bytearray, dice: random.Random) -> None:
    data += data[dice.randrange(len(data)) :] * dice.choice((1, 3))


def _noise(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    part = dice.randbytes(min(len(data) - at, dice.choice((16, 2000))))
    data[at : at + len(part)] = part


_DAMAGES = (
    *(_flip, _flip_head, _lie, _lie, _lengthen, _cut, _hole, _zeros),
    *(_splice, _swap_head, _swap, _duplicate, _repeat, _noise),
)


BUDGET_BYTES = 1 << 30
ALLOWANCE_BYTES = 64 << 20
"""Bytes of all processes together that may be held, and how far above them is no fault of the budget."""


def run(checkpoint: str, first: int, count: int) -> dict[str, Any]:
    """Run the cases; returns counts of outcomes, the most bytes held, and what is wrong by the case's name."""
    from overtone import EmotionRecognizer

    outcomes: collections.Counter[str] = collections.Counter()
    wrong: dict[str, str] = {}
    peak_bytes = 0
    kinds = ({}, {"channels": "split", "granularity": "frame"}, {"context": "full"})
    for kind, options in enumerate(kinds):
        with (
            tempfile.TemporaryDirectory() as folder,
            EmotionRecognizer(checkpoint, threads=1, memory=str(BUDGET_BYTES), **options) as recognizer,
            _Gauge(recognizer) as gauge,
        ):
            numbers = range(first + kind, first + count, len(kinds))
            for start in range(0, len(numbers), GROUP):
                group = numbers[start : start + GROUP]
                faulthandler.dump_traceback_later(GROUP_TIMEOUT_S, exit=True)
                try:
                    _run_group(recognizer, group, Path(folder), outcomes, wrong)
                except Exception as error:  # noqa: BLE001 - which of them was it?
                    wrong[f"{group}"] = repr(error)
                    for number in group:
                        try:
                            _run_group(recognizer, range(number, number + 1), Path(folder), outcomes, wrong)
                        except Exception as error:  # noqa: BLE001
                            wrong[damaged(number)[0]] = repr(error)
                faulthandler.cancel_dump_traceback_later()
        peak_bytes = max(peak_bytes, gauge.peak_bytes)
    if peak_bytes > BUDGET_BYTES + ALLOWANCE_BYTES:
        wrong["memory"] = f"{peak_bytes} bytes held; the budget is {BUDGET_BYTES}"
    return {"cases": count, "outcomes": outcomes, "peak_bytes": peak_bytes, "wrong": wrong}


class _Gauge:
    """Watches what a recognizer's processes hold together, every few hundredths of a second."""

    def __init__(self, recognizer: Any) -> None:
        self._runtime = recognizer.runtime
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0

    def _watch(self) -> None:
        while not self._over.wait(0.03):
            self.peak_bytes = max(self.peak_bytes, self._runtime.held_bytes)

    def __enter__(self) -> _Gauge:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def _run_group(
    recognizer: Any, numbers: range, folder: Path, outcomes: collections.Counter[str], wrong: dict[str, str]
) -> None:
    names: list[str] = []

    def sources() -> Iterator[Any]:
        for number in numbers:
            name, data = damaged(number)
            names.append(name)
            way = number % 5
            if way == 0:
                yield data
            elif way == 1:
                yield audio_files.Pipe(data)
            else:
                (folder / name).write_bytes(data)
                yield str(folder / name)

    at = -1
    for result in recognizer.stream(sources()):
        if result.channel in (None, 0):
            at += 1
        outcomes[result.error.code if result.error else "ok"] += 1
        if complaint := _complaint(result):
            wrong[names[at]] = complaint
    if at + 1 != len(names):
        wrong[names[0]] = f"{at + 1} results for {len(names)} sources in this group"


def _complaint(result: Any) -> str:
    if result.error is not None:
        known = type(result.error).__name__ in ("InputError", "BudgetError") and result.error.code != "fault"
        return "" if known else repr(result.error)
    if not 0 < result.duration < LONGEST_S:
        return f"{result.duration} s of audio"
    scores = list(result.scores.values()) if result.scores else []
    if scores and not (np.isfinite(scores).all() and math.isclose(sum(scores), 1, abs_tol=1e-4)):
        return f"scores are {scores}"
    ends = [(segment.span.start, segment.span.stop) for segment in result.segments]
    whole = all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    return "" if whole and ends[0][0] >= 0 else f"segments are {ends}"


if __name__ == "__main__":
    json.dump(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
