"""`overtone bench`."""

from __future__ import annotations

import json
import re

import pytest

from helpers import audio_files
from helpers.clips import voice
from overtone.cli.app import run


def test_bench(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    options = ["bench", "--threads", "1", "--repeats", "1", "--limit", "30"]
    assert run([*options, "a.wav", "b.flac"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^b\.flac +1\.5 s +[\d.]+ s +[\d.]+ +\d+ MiB", out, re.MULTILINE)
    assert re.search(r"^a\.wav +2\.0 s ", out, re.MULTILINE)
    assert "tiny, fp32 on cpu through openvino, 1 threads" in out
    assert run([*options, "--json", "a.wav"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loaded"]["overtone"]["seconds"] > 0
    (row,) = found["clips"]
    assert (row["clip"], row["audio_s"], row["overtone"]["error"]) == ("a.wav", 2.0, None)
    assert row["overtone"]["peak_bytes"] > 1 << 20


def test_bench_measures_the_rest_where_one_clip_cannot_be_used(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    (here / "short.wav").write_bytes(audio_files.wav16(voice(0.01)[None]))
    clips = ["nowhere.wav", "deep/broken.wav", "short.wav", "a.wav"]
    assert run(["bench", "--threads", "1", "--repeats", "1", *clips]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^a\.wav +2\.0 s +[\d.]+ s ", out, re.MULTILINE)
    for clip, why in (("nowhere.wav", "no such file"), ("deep/broken.wav", "not audio"), ("short.wav", "at least")):
        assert re.search(rf"^{re.escape(clip)} +\S+( s)? +–", out, re.MULTILINE)
        assert re.search(rf"error: {re.escape(clip)}: overtone: .*{why}", err)


class Instant:
    """A contender that takes no time and loads nothing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, do: str, timeout_s: float | None = None, **given: object) -> dict:
        used = {"model": "c", "precision": "fp32", "device": "cpu", "backend": "openvino", "threads": 1}
        return {"seconds": 0.1, "peak_bytes": 1 << 20, **(used if do == "load" else {})}


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ([], "60 s: cut by Overtone into segments of up to 30 s, run whole by FunASR; --context full compares"),
        (["--max-segment", "20"], "30 s, 60 s: cut by Overtone into segments of up to 20 s"),
        (["--context", "full"], None),
    ],
)
def test_bench_says_where_it_compares_unlike_things(capsys, monkeypatch, options, cut):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("overtone.cli.bench.BenchmarkWorker", Instant)
    monkeypatch.setattr("overtone.cli.bench._check_funasr", lambda options: None)
    monkeypatch.setattr("overtone.tools.benchmark.interleave.time.sleep", lambda seconds: None)
    assert run(["bench", "--funasr", "--repeats", "1", *options]) == 0
    out = capsys.readouterr().out
    assert (cut in out) if cut else ("cut by" not in out)
    assert run(["bench", "--repeats", "1", *options]) == 0
    assert "cut by" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["deep/broken.wav"], 1, "not audio"),
        (["-"], 2, "standard input"),
        (["a.wav", "--memory", "50MB"], 3, "would do"),
        (["a.wav", "--repeats", "0"], 2, "repeats"),
        (["a.wav", "--max-segment", "-1"], 2, "max-segment"),
    ],
)
def test_bench_refuses(here, capsys, arguments, code, said):
    assert run(["bench", *arguments]) == code
    assert said in capsys.readouterr().err
