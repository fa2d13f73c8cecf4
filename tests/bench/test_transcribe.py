"""The transcription benchmark's own arithmetic, its material, its tables; and its contenders on small checkpoints."""

from __future__ import annotations

import importlib.util
import sys
import wave
from itertools import islice

import numpy as np
import pytest

from helpers.clips import buzz
from overtone.errors import InputError
from overtone.tools.benchmark import Timed, take_turns

# Material


def test_joined_speech_is_the_same_each_time_with_pauses_between(bench):
    material = bench("transcribe_material")
    speech = [buzz(0.5, seed=1), buzz(0.25, seed=2)]
    pieces = list(islice(material.joined(speech), 8))
    again = list(islice(material.joined(speech), 8))
    assert all(np.array_equal(*pair) for pair in zip(pieces, again, strict=True))
    assert sorted(len(piece) for piece in pieces[0::2]) == [4000, 4000, 8000, 8000]
    for pause in pieces[1::2]:
        assert not pause.any()
        assert 0.3 <= len(pause) / 16_000 <= 1.2


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.3])
def test_a_long_file_is_as_long_as_was_asked(bench, tmp_path, seconds):
    path = bench("transcribe_material").write_long(tmp_path / "a.wav", [buzz(0.5)], seconds)
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getframerate()) == (round(16_000 * seconds), 16_000)


def test_pieces_are_cut_the_same_each_time(bench, tmp_path):
    material = bench("transcribe_material")
    speech = [buzz(2, seed=seed) for seed in range(3)]
    paths = material.write_pieces(tmp_path / "a", speech, [0.5, 1.0])
    kept = [path.read_bytes() for path in paths]
    assert [len(data) for data in kept] == [44 + 16_000, 44 + 32_000]
    assert [path.read_bytes() for path in material.write_pieces(tmp_path / "a", speech, [0.5, 1.0])] == kept


def test_utterances_come_from_named_folders(bench, tmp_path):
    material = bench("transcribe_material")
    material.write_long(tmp_path / "b.wav", [buzz(1)], 1.0)
    material.write_long(tmp_path / "a.wav", [buzz(1)], 0.5)
    (tmp_path / "transcription").write_text("no audio")
    assert [len(samples) for samples in material.utterances([tmp_path])] == [8000, 16_000]
    with pytest.raises(SystemExit, match="--corpus"):
        material.utterances([])


# Arithmetic


def test_a_ratio_is_the_median_of_turns_beside_funasr_s(bench):
    tables = bench("transcribe_tables")
    found = tables.row([1.0, 2.0, 4.0], [8.0, 8.0, 8.0], ([3.0, 3.0, 3.0], [8.0, 8.0, 8.0]))
    assert (found["rtf"], found["median_s"], found["ratio"]) == (7 / 24, 2.0, 1.5)
    assert found["rtfs"] == [0.125, 0.25, 0.5]
    shown = tables._cell({**found, "seconds": 7.0, "peak_bytes": 1 << 20})
    assert shown == "7.0 s, RTF 0.2917 (0.1250–0.5000), 1.50 ×, 1 MiB"
    # A shorter piece of FunASR's: seconds per second of audio are compared.
    assert tables.row([2.0], [16.0], ([3.0], [8.0]))["ratio"] == 3.0
    assert tables.row([1.0, 2.0], [10.0, 10.0], ([3.0], [10.0]))["ratio"] is None
    assert tables.row([], [10.0], None)["rtf"] is None


def test_texts_are_compared_one_by_one(bench):
    tables = bench("transcribe_tables")
    assert tables.alike(["abcd", "xy"], ["abcd", "pq"]) == 0.5
    assert tables.alike([], ["a"]) is None


def test_who_fails_once_has_no_figures(bench):
    beside = bench("transcribe_beside")
    answered = Timed([2.0], 1 << 20, {"text": "abc", "characters": 3})
    died = Timed(error="killed by signal 9")
    rows = beside.as_rows({"funasr": [answered, answered], "fp32": [answered, died]}, [4.0, 8.0])
    assert (rows["funasr"]["rtf"], rows["funasr"]["characters_per_s"]) == (4 / 12, 0.5)
    assert (rows["fp32"]["rtf"], rows["fp32"]["ratio"], rows["fp32"]["error"]) == (None, None, "killed by signal 9")
    rows = beside.as_rows({"funasr": [died, died], "fp32": [answered, answered]}, [4.0, 8.0])
    assert (rows["fp32"]["median_s"], rows["fp32"]["ratio"], rows["fp32"]["alike"]) == (2.0, None, None)


def test_drifts_compare_the_end_with_the_beginning(bench):
    values = [1.0] * 50 + [7.0] * 100 + [1.25] * 50
    assert bench("transcribe_alone").drifts({"times_s": values}) == {"times_s_drift": 0.25}


def test_a_text_is_compared_without_tags_and_blanks(bench):
    assert bench("transcribe_contender").plain("<|en|><|NEUTRAL|>hello  world ,") == "helloworld,"


# Tables


def _found(times_s: list[float], ratio: float | None = None, **more: object) -> dict[str, object]:
    figures = {"times_s": times_s, "seconds": sum(times_s), "rtf": sum(times_s) / 10, "median_s": times_s[0]}
    return {**figures, "ratio": ratio, "peak_bytes": 100 << 20, "characters_per_s": 5.0, **more}


@pytest.fixture
def figures() -> dict[str, dict[str, object]]:
    """Made-up figures of every part."""
    each = {
        "funasr": _found([2.0]),
        "funasr, no times": _found([1.5]),
        "fp32": _found([1.0], 2.0, alike=1.0),
        "int8": _found([0.25], 8.0, alike=0.5, device_bytes=3 << 20),
    }
    failed = {"rtf": None, "ratio": None, "error": "killed by signal 9", "seconds": 0.0, "peak_bytes": None}
    one = {"audio_s": 1800.0, "wall_s": 12.0, "words": 5000, "peak_bytes": 200 << 20}
    steady = {"times_s": [0.1] * 200, "threads": [9, 9], "same_options": True, "what": "small"}
    drifts = {"times_s_drift": 0.01, "machine_s_drift": 0.02, "relative_drift": -0.01, "resident_bytes_drift": -0.002}
    return {
        "sensevoice clips": {"contenders": each, "pieces": 12, "piece_s": 10.0, "device": "cpu"},
        "paraformer hour": {
            "contenders": {"funasr": failed, "fp32": _found([300.0])},
            "pieces": 1,
            "piece_s": 3600.0,
            "funasr_s": 600.0,
            "device": "cpu",
            "notes": ["paraformer in int8 is left out: why"],
        },
        "sensevoice memory": {"short": one, "long": {**one, "audio_s": 36000.0}, "ratio": 1.05, "what": "small"},
        "paraformer steady": {**steady, **drifts},
    }


def test_tables_of_all_parts(bench, figures):
    tables = bench("transcribe_tables")
    speed, texts, memory, steadiness = tables.tables(figures)
    for table in (speed, texts, memory, steadiness):
        assert {len(row) for row in table} == {len(table[0])}
    assert speed[0] == ("work", "FunASR", "fp32", "int8", "target, fp32 / int8")
    assert speed[1] == (
        "sensevoice: 12 clips of 10 s, one by one",
        "2.0 s, RTF 0.2000, 100 MiB",
        "1.0 s, RTF 0.1000, 2.00 ×, 100 MiB",
        "0.250 s, RTF 0.0250, 8.00 ×, 100 MiB, 3 MiB on the GPU",
        "≥ 1.5 × / ≥ 4 ×",
    )
    assert speed[2][:2] == ("the same, FunASR without times of words", "1.5 s, RTF 0.1500, 100 MiB")
    assert speed[3][:3] == (
        "paraformer: a file of 60 min (FunASR: its first 10 min)",
        "died",
        "300.0 s, RTF 30.0000, 100 MiB",
    )
    assert texts[1] == ("sensevoice: 12 clips of 10 s, one by one", "5.0", "5.0; 100 %", "5.0; 50 %")
    assert memory[2][1:] == ("10 h", "12 s", "5000", "200 MiB", "1.050", "≤ 1.1")
    assert steadiness[1][1:9] == ("200", "0.100 s", "+1.0 %", "+2.0 %", "-1.0 %", "-0.2 %", "9 → 9", "the same")
    assert tables.notes(figures).endswith("- paraformer in int8 is left out: why\n")
    assert tables.tables({"sensevoice memory": figures["sensevoice memory"]}) == [memory]


def test_there_is_no_target_on_a_gpu(bench, figures):
    tables = bench("transcribe_tables")
    on_gpu = {"sensevoice clips": {**figures["sensevoice clips"], "device": "cuda:0"}}
    assert tables.of_funasr(on_gpu)[1][-1] == ""


# The command line


def test_quick_is_less_of_all_and_gives_way_to_what_is_named(bench, monkeypatch):
    transcribe = bench("transcribe")
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--quick", "--only", "clips,steady", "--clips", "5"])
    given = transcribe.arguments()
    assert (given.only, given.clips, given.files, given.memory_shape) == (["clips", "steady"], 5, 60, "small")
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--checkpoints", "/somewhere", "--only", "hour"])
    assert transcribe.arguments().hour_s == 3600
    assert transcribe._amounts() == "--only hour"
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--only", "dance"])
    with pytest.raises(SystemExit):
        transcribe.arguments()


# Contenders


@pytest.mark.slow
def test_both_contenders_write_the_same(bench, tmp_path):
    if importlib.util.find_spec("funasr") is None:  # its import takes long, and this process has no use for it
        pytest.skip("funasr, the oracle, is not installed")
    material, contender, beside = (
        bench("transcribe_material"),
        bench("transcribe_contender"),
        bench("transcribe_beside"),
    )
    models = {**material.with_models(tmp_path, "paraformer", "small", "small"), "device": "cpu", "threads": 1}
    assert material.with_models(tmp_path, "paraformer", "small", "small").items() <= models.items()  # made once
    paths = material.write_pieces(tmp_path / "clips", [buzz(5)], [2.0, 3.0])
    with contender.Process("funasr") as theirs, contender.Process("overtone") as ours:
        theirs.ask("load", **models)
        assert ours.ask("load", **models, precision="fp32")["precision"] == "fp32"
        both = {"funasr": theirs, "fp32": ours}
        turns = beside.take(both, [{"do": "clip", "source": str(path)} for path in paths])
        rows = beside.as_rows(turns, [2.0, 3.0])
        # Rounding may decide between two tokens, which random weights hold as likely as each other.
        assert rows["fp32"]["alike"] > 0.8
        assert rows["fp32"]["ratio"] > 0
        assert rows["fp32"]["characters_per_s"] > 0
        command = {"do": "folder", "inputs": [str(path) for path in paths], "output": str(tmp_path / "out.jsonl")}
        found = take_turns({name: (process, command) for name, process in both.items()}, repeats=1, warm_up=False)
        assert [timed.answer["files"] for timed in found.values()] == [2, 2]
        assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 2
        with pytest.raises(InputError, match="no such file"):
            ours.ask("clip", source="nowhere.wav")
