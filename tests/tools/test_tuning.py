"""Tuning: the search over settings with properties, and what surrounds it, without a model."""

from __future__ import annotations

import itertools
import sys
import tempfile
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import audio_files
from helpers.clips import voice
from overtone.audio.inputs import Input, expand
from overtone.errors import UsageError
from overtone.options import loading
from overtone.options.check import kinds_of
from overtone.options.emotion import Options, Precision
from overtone.tools.tuning import profile, trial
from overtone.tools.tuning.axes import SampleStats, axes_for
from overtone.tools.tuning.sampling import Sample, take_sample
from overtone.tools.tuning.search import (
    MIN_GAIN,
    Axes,
    Trial,
    TrialResult,
    best,
    is_acceptable,
    next_trial,
    predicted_s,
)
from overtone.tools.tuning.session import Session, compare
from overtone.tools.tuning.trial import TrialError, TrialMeasurements

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AXES = st.builds(
    Axes,
    precision=st.sampled_from([("fp32",), ("int8",), ("fp32", "bf16"), ("fp32", "bf16", "int8"), ("bf16", "fp32")]),
    threads=st.sampled_from([(None,), (2, 1), (8, 4, 2)]),
    batch_size_s=st.sampled_from([(None,), (None, 64.0, 128.0)]),
    max_segment=st.sampled_from([(30.0,), (30.0, 20.0, 10.0)]),
)


def _machine(axes: Axes, seed: int, failing: float = 0.2) -> dict[Trial, TrialResult]:
    """What every trial would give on some machine."""
    random = np.random.default_rng(seed)
    every = itertools.product(axes.precision, axes.threads, axes.batch_size_s, axes.max_segment)
    rows = {}
    for values in every:
        made = Trial(*values)
        wall_s = float(random.uniform(1, 30))
        if random.random() < failing:
            rows[made] = TrialResult(made, wall_s, reason="it failed")
            continue
        agreement = None if made.precision == "fp32" else float(random.choice([0.9, 0.99, 1.0]))
        peak = int(random.choice([50, 100, 101]))
        rows[made] = TrialResult(made, wall_s, float(random.uniform(1, 100)), peak, 100, agreement)
    return rows


def _search(axes: Axes, machine: dict[Trial, TrialResult], time_s: float) -> list[TrialResult]:
    """The rows that a search gives; a row has an agreement only where its reference was there to compare with."""
    rows: list[TrialResult] = []
    while (made := next_trial(axes, rows, left_s=time_s - sum(row.wall_s for row in rows))) is not None:
        row = machine[made]
        assert made not in {other.trial for other in rows}, "tried twice"
        if not rows:
            assert made == axes.start()
        else:
            assert predicted_s(made, rows) <= time_s - sum(row.wall_s for row in rows)
        compared = [r.trial for r in rows if r.completed and r.trial.precision == "fp32"]
        if axes.compares_precision and made.precision != "fp32" and compared:
            assert made.max_segment in {t.max_segment for t in compared}, "there is nothing to compare it with"
        elif not compared:
            row = replace(row, agreement=None)
        rows.append(row)
    return rows


@given(AXES, st.integers(0, 10_000), st.floats(0, 1))
def test_a_search_ends_and_never_tries_twice(axes: Axes, seed: int, failing: float) -> None:
    machine = _machine(axes, seed, failing)
    rows = _search(axes, machine, float("inf"))
    # A sum of the axes where a grid is their product; each trial may take a reference as well.
    sizes = [len(getattr(axes, name)) for name in Axes.__slots__]
    assert 1 <= len(rows) <= 2 * (sum(sizes) - len(sizes) + 1)
    if not failing:
        assert len(rows) <= sum(sizes) + len(axes.max_segment)
    winner = best(axes, rows)
    if winner is not None and axes.compares_precision and winner.trial.precision != "fp32" and winner.agreement is None:
        assert not any(row.completed and row.trial.precision == "fp32" for row in rows)


@given(AXES, st.integers(0, 10_000), st.floats(0, 200))
def test_a_search_keeps_to_its_time_as_far_as_it_can_tell(axes: Axes, seed: int, time_s: float) -> None:
    rows = _search(axes, _machine(axes, seed), time_s)
    assert rows, "the first trial is always made"
    assert len(rows) == 1 or sum(row.wall_s for row in rows[:-1]) <= time_s


@given(AXES, st.integers(0, 10_000))
def test_the_winner_is_the_fastest_that_may_win_but_for_chance(axes: Axes, seed: int) -> None:
    rows = _search(axes, _machine(axes, seed), float("inf"))
    winner = best(axes, rows)
    may = [row for row in rows if is_acceptable(axes, row, rows)]
    if winner is None:
        assert not may
        return
    assert winner in may
    assert winner.peak_bytes <= winner.budget_bytes
    assert (winner.speed or 0) >= (1 - MIN_GAIN) * max(row.speed or 0 for row in may)


def test_the_order_is_precision_threads_batch_segment() -> None:
    axes = Axes(("fp32", "bf16"), (2, 1), (None, 64.0), (30.0, 10.0))
    machine = {
        Trial(p, t, b, m): TrialResult(
            Trial(p, t, b, m),
            1.0,
            10.0 * (1 + (p == "bf16")) * (1 + (t == 1)) * (1 + (b is not None)) * (1 + (m == 10.0)),
            50,
            100,
            None if p == "fp32" else 1.0,
        )
        for p, t, b, m in itertools.product(*(getattr(axes, n) for n in Axes.__slots__))
    }
    rows = _search(axes, machine, float("inf"))
    assert [row.trial for row in rows] == [
        Trial("fp32", 2, None, 30.0),
        Trial("bf16", 2, None, 30.0),
        Trial("bf16", 1, None, 30.0),
        Trial("bf16", 1, 64.0, 30.0),
        Trial("fp32", 1, 64.0, 10.0),  # what the next one is compared with
        Trial("bf16", 1, 64.0, 10.0),
    ]
    assert best(axes, rows) is rows[-1]


START = Trial("fp32", 2, None, 30.0)
BOTH = Axes(("fp32", "int8"), (2,), (None,), (30.0,))


@pytest.mark.parametrize(
    ("other", "wins"),
    [
        (TrialResult(replace(START, precision="int8"), 1, 20.0, 50, 100, 1.0), True),
        (TrialResult(replace(START, precision="int8"), 1, 20.0, 50, 100, 0.99), True),
        (TrialResult(replace(START, precision="int8"), 1, 20.0, 50, 100, 0.98), False),
        (TrialResult(replace(START, precision="int8"), 1, 20.0, 50, 100, None), False),
        (TrialResult(replace(START, precision="int8"), 1, 20.0, 101, 100, 1.0), False),
        (TrialResult(replace(START, precision="int8"), 1, 10.2, 50, 100, 1.0), False),
        (TrialResult(replace(START, precision="int8"), 1, reason="no NNCF"), False),
    ],
)
def test_what_wins_over_fp32(other: TrialResult, wins: bool) -> None:
    exact = TrialResult(START, 1, 10.0, 50, 100)
    assert (best(BOTH, [exact, other]) is other) is wins


def test_the_floor_of_agreement_is_the_users() -> None:
    rows = [TrialResult(START, 1, 10.0, 50, 100), TrialResult(replace(START, precision="int8"), 1, 20.0, 50, 100, 0.9)]
    assert best(BOTH, rows, 0.95) is rows[0]
    assert best(BOTH, rows, 0.9) is rows[1]


def test_where_fp32_does_not_run_another_precision_may_win_and_is_tried() -> None:
    failed = TrialResult(START, 1, reason="it needs 3 GiB")
    made = next_trial(BOTH, [failed], left_s=60)
    assert made == replace(START, precision="int8")
    small = TrialResult(made, 1, 20.0, 50, 100)
    assert best(BOTH, [failed, small]) is small


def test_a_trial_on_fewer_threads_is_expected_to_take_longer() -> None:
    rows = [TrialResult(replace(START, threads=8), 10.0, 1.0, 1, 2)]
    assert predicted_s(replace(START, threads=2), rows) == 40.0
    assert predicted_s(replace(START, threads=16), rows) == 10.0
    assert predicted_s(START, []) == 0.0


# What there is to try


def test_axes_of_a_cpu() -> None:
    axes = axes_for(Options(), (), "cpu", 8, SampleStats(120.0, 60.0))
    assert axes == Axes(("fp32", "bf16", "int8"), (8, 4, 2), (None, 64.0, 128.0), (30.0, 20.0, 10.0))
    assert axes_for(Options(), (), "cpu", 1, SampleStats(1.0, 1.0)).threads == (1,)


def test_axes_of_a_gpu_are_those_of_its_precisions() -> None:
    axes = axes_for(Options(), (), "cuda:0", 8, SampleStats(120.0, 60.0))
    assert axes.precision[0] == "fp32"
    assert {"bf16", "fp16"} <= set(axes.precision) <= set(kinds_of(Precision))
    assert "int8" not in axes.precision
    assert axes.threads == (None,)


def test_what_is_given_is_not_tried() -> None:
    options = Options(precision="bf16", threads=3, batch_size_s=40.0, max_segment=25.0)
    given = ("precision", "threads", "batch_size_s", "max_segment")
    assert axes_for(options, given, "cpu", 8, SampleStats(120.0, 60.0)) == Axes(("bf16",), (3,), (40.0,), (25.0,))
    assert axes_for(Options(backend="torch"), (), "cpu", 8, SampleStats(9.0, 9.0)).precision == ("fp32",)


@given(st.floats(0.1, 500), st.floats(0.1, 500), st.sampled_from([None, 16.0, 40.0]), st.floats(1, 100))
def test_what_makes_no_difference_is_not_tried(
    audio_s: float, longest_s: float, batch: float | None, cut: float
) -> None:
    options = Options(max_segment=cut, batch_size_s=batch)
    axes = axes_for(options, () if batch is None else ("batch_size_s",), "cpu", 2, SampleStats(audio_s, longest_s))
    # Each segment length cuts some source otherwise than the one before it.
    lengths = [min(length, longest_s) for length in axes.max_segment]
    assert all(one > two for one, two in itertools.pairwise(lengths))
    # Segments fit every batch that is tried.
    assert all(size is None or size >= cut for size in axes.batch_size_s[1:])
    for whole in (Options(context="full"), Options(segment="window")):
        assert len(axes_for(whole, (), "cpu", 2, SampleStats(audio_s, longest_s)).max_segment) == 1
    assert axes_for(Options(context="full"), (), "cpu", 2, SampleStats(500, 500)).batch_size_s == (None,)


# The sample


def test_a_sample_is_the_head_of_the_inputs(tmp_path: Path) -> None:
    for name, seconds in (("a", 2.0), ("b", 3.0), ("c", 1.0)):
        (tmp_path / f"{name}.wav").write_bytes(audio_files.wav16(np.stack([voice(seconds), voice(seconds, 1)])))
    (tmp_path / "broken.wav").write_bytes(b"no audio" * 99)
    folder = tmp_path / "made"
    folder.mkdir()
    said: list[str] = []
    names = [str(tmp_path / name) for name in ("broken.wav", "a.wav", "none.wav", "b.wav", "c.wav")]
    sample = take_sample(expand(names), 3.5, folder, said.append)
    assert sample == Sample((names[1], str(folder / "1.wav")), SampleStats(3.5, 2.0), True, 2)
    assert [text.split(":")[0] for text in said] == [names[0], names[2]]
    with wave.open(str(folder / "1.wav")) as cut:
        assert (cut.getnframes(), cut.getnchannels(), cut.getframerate()) == (24_000, 2, 16_000)
        samples = np.frombuffer(cut.readframes(24_000), "<i2").reshape(-1, 2).T / 32767
    # 16 bits, twice.
    np.testing.assert_allclose(samples, np.stack([voice(3.0), voice(3.0, 1)])[:, :24_000], atol=1e-4)
    assert list(folder.iterdir()) == [folder / "1.wav"]


@pytest.mark.parametrize(("most_s", "cut"), [(2.0, False), (1.99, True), (9.0, False)])
def test_a_sample_that_is_all_there_is_was_not_cut(tmp_path: Path, most_s: float, cut: bool) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(audio_files.wav16(voice(2.0)[None]))
    folder = tmp_path / "made"
    folder.mkdir()
    sample = take_sample([Input("a.wav", str(path))], most_s, folder, print)
    assert sample.cut is cut
    assert sample.stats.audio_s == pytest.approx(min(2.0, most_s), abs=1e-4)  # a sample


# Trials


def _answers(*labels: str, first: int = 0) -> tuple[dict[str, Any], ...]:
    scores = {"a": [0.9, 0.1], "b": [0.4, 0.6]}
    segments = [[first + i, first + i + 1, label, scores[label]] for i, label in enumerate(labels)]
    return ({"key": ["x.wav", None], "segments": segments, "embedding": [1.0, 0.0]},)


def test_agreement_is_of_segments() -> None:
    found = compare(_answers("a", "a", "b", "b"), _answers("a", "a", "b", "a"))
    assert found is not None
    assert (found.windows, found.labels, found.cosine) == (4, 0.75, 1.0)
    assert found.score == pytest.approx(0.5 / 4)
    same = compare(_answers("a", "b"), _answers("a", "b"))
    assert same is not None
    assert (same.labels, same.score) == (1.0, 0.0)
    elsewhere = compare(_answers("a", "a"), _answers("a", "a", first=1))
    assert elsewhere is not None
    assert elsewhere.labels == pytest.approx(1 / 3)


def test_agreement_without_classes_is_that_of_embeddings() -> None:
    one = ({"key": ["x", None], "segments": [], "embedding": [1.0, 0.0]},)
    other = ({"key": ["x", None], "segments": [], "embedding": [1.0, 1.0]},)
    found = compare(one, other)
    assert found is not None
    assert found.labels is None
    assert found.cosine == pytest.approx(2**-0.5)
    assert compare((), ()) is None


def _session(runner: Any, **changes: Any) -> Session:
    sample = Sample(("x.wav",), SampleStats(60.0, 60.0), False, 0)
    axes = Axes(("fp32", "int8"), (2, 1), (None,), (30.0,))
    return Session(Options(), axes, sample, 60.0, runner=runner, **changes)


def test_a_trial_that_fails_is_a_row_that_says_why() -> None:
    seen: list[tuple[Options, bool]] = []

    def runner(options: Options, paths: Any, *, prepare: bool, timeout_s: float) -> TrialMeasurements:
        assert 0 < timeout_s <= 60
        seen.append((options, prepare))
        if options.precision == "int8":
            raise TrialError("int8 takes NNCF", code="model")
        return TrialMeasurements(2.0 if options.threads == 2 else 1.0, 60.0, 50, 100, _answers("a"))

    session = _session(runner)
    told: list[Any] = []
    assert session.run(lambda made, measured: told.append(measured)) is True
    assert [(o.precision, o.threads, prepare) for o, prepare in seen] == [
        ("fp32", 2, True),
        ("int8", 2, True),
        ("fp32", 1, True),
    ]
    assert [(row.speed, row.reason) for row in session.rows] == [
        (30.0, None),
        (None, "int8 takes NNCF"),
        (60.0, None),
    ]
    assert told == [None, session.measured[0], None, session.measured[1], None, session.measured[2]]
    chosen = session.best()
    assert chosen is not None
    assert session.options(chosen.row.trial) == Options(precision="fp32", threads=1)


def test_an_interrupted_session_keeps_what_it_knows() -> None:
    def runner(options: Options, *_: Any, **__: Any) -> TrialMeasurements:
        if options.precision == "int8":
            raise KeyboardInterrupt
        return TrialMeasurements(1.0, 60.0, 50, 100, _answers("a"))

    session = _session(runner)
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda *_: None)
    assert session.best() is session.measured[0]


def test_a_child_that_dies_or_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_CHILD", "import sys; sys.exit('dead: no such luck')")
    with pytest.raises(TrialError, match=r"ended with 1: dead: no such luck"):
        trial.run(Options(), ["x.wav"], prepare=False, timeout_s=30)
    monkeypatch.setattr(trial, "_CHILD", "import time; time.sleep(60)")
    with pytest.raises(TrialError, match="not done when the time was up"):
        trial.run(Options(), ["x.wav"], prepare=True, timeout_s=0.2)


# Profiles

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(NAMES, st.integers(1, 1024), st.floats(1.0, 1e6), st.booleans(), st.lists(NAMES, max_size=3))
def test_a_profile_reads_back(model: str, threads: int, batch: float, keep: bool, remarks: list[str]) -> None:
    values: dict[str, profile.Value] = {
        "model": model,
        "threads": threads,
        "batch_size_s": batch,
        "keep_silence": keep,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.toml"
        profile.write(str(path), values, remarks)
        assert tomllib.loads(path.read_text(encoding="utf-8")) == values
        assert loading.load(Options, profile=path) == Options(**values)  # type: ignore[arg-type]


def test_a_profile_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write .*file/p\.toml"):
        profile.write(str(tmp_path / "file" / "p.toml"), {}, [])
    with pytest.raises(UsageError, match="rename the model's folder"):
        profile.write(str(tmp_path / "p.toml"), {"model": "\udcff"}, ["\udcff is fine here"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_of_a_profile_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert profile.absolute_path("mine") == str(tmp_path / "mine")
    assert profile.absolute_path("tiny") == "tiny"
