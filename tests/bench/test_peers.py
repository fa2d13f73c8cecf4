"""The benchmark beside other runtimes: its contenders, arithmetic and tables; and its runners on small checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.clips import buzz
from helpers.paths import BENCH, ROOT
from overtone.tools.benchmark import BenchmarkWorker, Timed, WorkerDied, write_wav

# Contenders


def test_every_contender_has_a_runner_and_a_name_of_its_own(bench):
    made, worker = bench("peers_contenders"), bench("peers_worker")
    for family in bench("peers_bench").FAMILIES:
        found = made.contenders(family, bf16=True, compiled=True)
        assert len({contender.name for contender in found}) == len(found)
        for contender in found:
            module, name = worker.KINDS[contender.kind]
            assert callable(getattr(bench(module), name).load)
        assert [c.name for c in found[:3]] == ["overtone, fp32", "overtone, bf16", "overtone, int8"]
        assert not [c.name for c in made.contenders(family, bf16=False) if c.precision == "bf16"]


def test_who_is_not_installed_is_missing_and_said(bench):
    made = bench("peers_contenders")
    absent = made.Contender("no-such-runtime", "sherpa_words", "fp32", file="")
    assert absent.missing() == "no-such-runtime is not installed"
    assert made.Contender("overtone", "overtone_words", "fp32").missing() is None
    assert made.Contender("overtone", "overtone_words", "fp32").label().startswith("overtone ")


def test_what_is_loaded_is_the_checkpoint_or_the_export(bench, tmp_path):
    made = bench("peers_contenders")
    commands = {c.name: c.load("checkpoint", tmp_path, 2) for c in made.contenders("sensevoice", bf16=False)}
    assert commands["overtone, int8"]["model"] == commands["funasr, fp32"]["model"] == "checkpoint"
    assert commands["sherpa-onnx, int8"]["file"] == "sherpa.int8.onnx"
    assert commands["sherpa-onnx, int8"]["model"] == str(tmp_path)
    static = next(c for c in made.contenders("emotion2vec", bf16=False) if c.form == "static")
    assert static.load("checkpoint", tmp_path, 2)["model"] == str(tmp_path / "model.static.onnx")


# Arithmetic


def _turns(*times_s: float, **answer: object) -> list[Timed]:
    return [Timed([seconds], 1 << 20, dict(answer)) for seconds in times_s]


def test_a_row_keeps_every_time_and_answer(bench):
    row = bench("peers_bench").row
    found = row(_turns(3.0, 1.0, 2.0, text="a", files=3), [10.0] * 3)
    assert (found["median_s"], found["times_s"], found["peak_bytes"]) == (2.0, [3.0, 1.0, 2.0], 1 << 20)
    assert found["answers"] == [{"text": "a"}] * 3
    failed = row([*_turns(3.0), Timed(error="killed by signal 9")], [10.0] * 2)
    assert (failed["median_s"], failed["times_s"], failed["error"]) == (None, [], "killed by signal 9")


def test_a_folder_is_taken_in_quarters_that_hold_every_file(bench, tmp_path):
    made = bench("peers_bench").Bench(tmp_path, tmp_path, "small", 1, bf16=True, files=10)
    *clips, folder = made.works("emotion2vec")
    assert [work.name for work in clips] == ["3 s clip", "5 s clip", "15 s clip", "30 s clip"]
    assert len({path for command in folder.commands for path in command["inputs"]}) == 10
    assert len(folder.commands) == len(folder.audio_s) == 4
    for command, audio_s in zip(folder.commands, folder.audio_s, strict=True):
        read = bench("peers_worker").read_wav
        assert sum(len(read(path)) for path in command["inputs"]) / 16_000 == pytest.approx(audio_s, abs=1e-3)


# Tables


def _found(*times_s: float, **more: object) -> dict[str, object]:
    return {"times_s": list(times_s), "median_s": sorted(times_s)[len(times_s) // 2], "peak_bytes": 1 << 20, **more}


@pytest.fixture
def figures() -> dict[str, dict[str, object]]:
    """Made-up figures of two families."""
    names = ("overtone, fp32", "overtone, int8", "onnxruntime, fp32", "torch, bf16 eager", "funasr, fp32")
    failed = {"times_s": [], "median_s": None, "peak_bytes": None, "error": "killed by signal 9"}
    clip = {
        "overtone, fp32": _found(1.0, 2.0, 1.0, answers=[{"scores": [0.25, 0.75]}]),
        "overtone, int8": _found(0.5, 0.5, 0.5, answers=[{"scores": [0.2, 0.8]}]),
        "onnxruntime, fp32": _found(2.0, 2.0, 3.0, answers=[{"scores": [0.25, 0.75]}]),
        "torch, bf16 eager": _found(4.0, 4.0, 4.0, answers=[{"scores": [0.5, 0.5]}]),
        "funasr, fp32": _found(5.0, 5.0, 5.0, answers=[{"scores": [0.25, 0.75]}]),
    }
    folder = {"overtone, fp32": _found(1.0, 4.0), "onnxruntime, fp32": _found(2.0, 2.0), "funasr, fp32": failed}
    works = {
        "3 s clip": {"audio_s": [3.0] * 3, "contenders": clip},
        "9 files of 1 to 5 s": {"audio_s": [10.0, 20.0], "contenders": folder},
    }
    text = {"overtone, fp32": _found(1.0, answers=[{"text": "abcd"}]), "funasr, fp32": _found(1.0, answers=[])}
    text["funasr, fp32"]["answers"] = [{"text": "abxy"}]
    words = {"10 s clip": {"audio_s": [10.0], "contenders": text}}

    def family(works: object, names: tuple[str, ...], left_out: dict[str, str]) -> dict[str, object]:
        labels = {name: name.replace(",", " 1.0,") for name in names}
        beside = {name: f"overtone, {name.split(', ')[1].split()[0]}" for name in names}
        return {"works": works, "labels": labels, "beside": beside, "left_out": left_out}

    return {
        "emotion2vec": family(works, names, {}),
        "sensevoice": family(words, ("overtone, fp32", "funasr, fp32"), {"sherpa-onnx, fp32": "it is not installed"}),
    }


def test_tables_have_spread_and_ratios_to_the_same_precision(bench, figures):
    emotion, words = bench("peers_tables").tables(figures)
    assert emotion[0] == (
        *("emotion2vec", "3 s clip", "9 files of 1 to 5 s", "highest memory", "answers beside FunASR's"),
    )
    assert emotion[1] == (*("overtone 1.0, fp32", "1.00 s (1.00–2.00)", "5.0 s (100.0–200.0 ms/s)", "1 MiB", "± 0"),)
    assert emotion[2][1:] == ("0.500 s (0.500–0.500)", "", "1 MiB", "± 0.05")
    # Turn by turn: 2, 1 and 3 times; of the folder 2 and a half.
    assert emotion[3][1:3] == ("2.00 s (2.00–3.00), 2.00 ×", "4.0 s (100.0–200.0 ms/s), 1.25 ×")
    assert emotion[4][1:] == ("4.00 s (4.00–4.00)", "", "1 MiB", "± 0.2")  # no Overtone in bf16 beside it
    assert emotion[5][1:] == ("5.00 s (5.00–5.00), 5.00 ×", "died", "1 MiB", "")
    assert [row[-1] for row in words[1:]] == ["50 % alike", ""]
    assert all(len(row) == len(table[0]) for table in (emotion, words) for row in table)


def test_notes_name_who_is_left_out(bench, figures):
    assert (
        bench("peers_tables")
        .notes(figures)
        .endswith("- sensevoice: sherpa-onnx, fp32 is left out: it is not installed\n")
    )


def test_a_picture_has_a_bar_for_each_that_did_the_folder(bench, figures, tmp_path):
    pytest.importorskip("matplotlib")
    tables = bench("peers_tables")
    emotion = figures["emotion2vec"]
    assert tables._bars(emotion["labels"], emotion["works"]["9 files of 1 to 5 s"]) == [
        ("overtone, fp32", (100.0, 5000 / 30, 200.0)),
        ("onnxruntime, fp32", (100.0, 4000 / 30, 200.0)),
    ]
    tables.draw(figures, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").stat().st_size < 60_000


# The environment and the command line


def test_an_environment_is_made_again_when_what_is_wanted_changes(bench, tmp_path, monkeypatch):
    venv, calls = bench("peers_venv"), []
    monkeypatch.setattr(venv.venv, "create", lambda folder, **_: venv.python_of(folder).parent.mkdir(parents=True))
    monkeypatch.setattr(venv.subprocess, "run", lambda command, **_: calls.append(command))
    for _ in range(2):
        assert venv.make(tmp_path / "v") == venv.python_of(tmp_path / "v")
    assert len(calls) == 2
    assert "--no-deps" in calls[1]
    monkeypatch.setattr(venv, "WITHOUT_DEPENDENCIES", ("another==1",))
    venv.python_of(tmp_path / "v").touch()
    venv.make(tmp_path / "v")
    assert len(calls) == 4


def test_what_is_required_has_one_version(bench):
    required = (BENCH / "peers-requirements.txt").read_text(encoding="utf-8").splitlines()
    known = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    peers = [line for line in required if line and not line.startswith("#")]
    assert {"onnxruntime", "sherpa-onnx"} <= {line.partition("==")[0] for line in peers}
    for line in peers:
        assert "==" in line or line in FREE or f"\n{line}==" in known, line
    assert all("==" in package for package in bench("peers_venv").WITHOUT_DEPENDENCIES)


FREE = {"jieba", "librosa", "setuptools"}
"""What the peers only read audio and words with."""


def test_quick_is_less_of_all(bench):
    peers, made = bench("peers"), bench("peers_bench")
    given = peers.arguments(["--quick", "--families", "sensevoice"])
    assert (given.families, given.here, given.compile) == (["sensevoice"], False, False)
    usual = {field.name: field.default for field in made.Bench.__dataclass_fields__.values()}
    assert all(value < usual[name] for name, value in peers.QUICK.items())
    with pytest.raises(SystemExit):
        peers.arguments(["--families", "whisper"])


# Runners


@pytest.fixture
def wav(tmp_path) -> str:
    """2 s of noise, its path."""
    return str(write_wav(tmp_path / "a.wav", buzz(2), 2.0))


def test_a_worker_answers_with_errors_and_goes_on(bench, wav):
    worker = bench("peers_worker")

    class Runner:
        def clip(self, source: str) -> dict[str, object]:
            return {"samples": len(worker.read_wav(source))}

    assert worker.answer(Runner(), {"do": "clip", "source": "nowhere.wav"})["error"].startswith("FileNotFoundError")
    found = worker.answer(Runner(), {"do": "clip", "source": wav})
    assert found["samples"] == 32_000
    assert found["seconds"] > 0
    assert found["peak_bytes"] > 10 << 20


def test_the_whole_network_in_one_graph_has_overtone_s_scores(bench, small_checkpoint, wav):
    pytest.importorskip("torch")
    emotion = bench("peers_emotion")
    ours, theirs = emotion.Overtone(), emotion.Torch()
    ours.load(str(small_checkpoint), threads=1, precision="fp32")
    theirs.load(str(small_checkpoint), threads=1, precision="fp32")
    expected = ours.clip(wav)["scores"]
    assert sum(expected) == pytest.approx(1)
    np.testing.assert_allclose(theirs.clip(wav)["scores"], expected, atol=2e-6)
    assert ours.folder([wav, wav]) == theirs.folder([wav, wav]) == {"files": 2}


def test_a_contender_is_a_process_that_knows_its_kinds(bench, monkeypatch):
    made = bench("peers_contenders")
    with made.process(made.Contender("torch", "torch_emotion", "fp32")) as contender:
        assert isinstance(contender, BenchmarkWorker)
        with pytest.raises(WorkerDied, match="TypeError"):
            contender.ask("load")
    with (
        made.process(made.Contender("torch", "another", "fp32")) as contender,
        pytest.raises(WorkerDied, match="KeyError"),
    ):
        contender.ask("load")
