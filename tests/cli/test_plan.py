"""`overtone plan`."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import voice
from overtone import EmotionRecognizer
from overtone.cli.app import run
from overtone.system.machine import rss_bytes


def test_plan(emotion, here):
    code, out, err = emotion(".", command="plan")
    assert code == 1  # broken.wav
    text = " ".join(out.split())
    for said in ("4, 5.5 s of audio", "expected peak", "expected time", "broken.wav cannot be used", "largest batch"):
        assert said in text
    assert "error: ./deep/broken.wav: not audio" in err
    assert sorted(path.name for path in here.iterdir()) == ["a.wav", "b.flac", "deep", "notes.txt"]


def test_plan_as_json(emotion):
    code, out, _ = emotion("a.wav", "b.flac", "deep/c.wav", "--channels", "split", "--format", "json", command="plan")
    assert code == 0
    plan = json.loads(out)
    assert plan["audio_s"] == pytest.approx(5.5, abs=0.01)  # headers of compressed files round
    assert [entry["segments"] for entry in plan["inputs"]] == [1, 1, 2]
    assert plan["resident_bytes"] < plan["peak_bytes"] <= plan["budget_bytes"]


def test_plan_counts_what_the_model_will_run(emotion):
    def planned(*options: str) -> tuple[dict, float]:
        code, out, _ = emotion("deep/c.wav", *options, "--format", "json", command="plan")
        assert code == 0
        found = json.loads(out)
        assert found["audio_s"] == 2.0
        return found["inputs"][0], found["time_s"]

    windows = ("--segment", "window", "--window", "1")
    one, once_s = planned(*windows)
    assert (one["segments"], one["exact"]) == (2, True)
    split, split_s = planned(*windows, "--channels", "split")
    assert (split["segments"], split_s) == (4, pytest.approx(2 * once_s))
    # From 0, 0.4 and 0.8 s on, the last of them to the end: 0.2 s are too little for another.
    overlapping, overlapping_s = planned(*windows, "--hop", "0.4")
    assert overlapping["segments"] == 3
    assert overlapping_s == pytest.approx(once_s * (1.0 + 1.0 + 1.2) / 2)
    run = emotion("deep/c.wav", *windows, "--hop", "0.4")[1]
    assert len(json.loads(run)["segments"]) == 3
    for longest, exact in (("1", False), ("2", True)):
        found, _ = planned("--max-segment", longest)
        assert (found["segments"], found["exact"]) == (1, exact)


def test_plan_counts_the_channels_that_are_cut_at_once(emotion, here):
    (here / "choir.wav").write_bytes(audio_files.wav16(np.zeros((64, 16_000), np.float32)))

    def peak_bytes(*options: str) -> int:
        return json.loads(emotion("choir.wav", *options, "--format", "json", command="plan")[1])["peak_bytes"]

    mixed, split = peak_bytes(), peak_bytes("--channels", "split")
    # At the least a longest segment of each channel, and its copy.
    assert split - mixed > 60 * 2 * 30 * 64_000
    # In a process of its own: what other tests have left in this one would count.
    options = ("--channels", "split", "--memory", "560MiB", "--format", "json")
    command = [sys.executable, "-m", "overtone", "plan", "choir.wav", *options]
    done = subprocess.run(command, cwd=here, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["inputs"][0]["error"]
    assert re.match(r"choir\.wav: its 64 channels at once need \d+ MiB", error)


def test_plan_promises_no_more_segments_than_silence_gives(emotion, here):
    (here / "silence.wav").write_bytes(audio_files.wav16(np.zeros((1, 64_000), np.float32)))
    code, out, _ = emotion("silence.wav", "--max-segment", "1", command="plan")
    assert code == 0
    assert re.search(r"^silence\.wav +4\.0 s +≥ 1", out, re.MULTILINE)
    code, out, _ = emotion("silence.wav", "--max-segment", "1")
    assert len(json.loads(out)["segments"]) == 1


def test_plan_refuses_as_a_run_would(emotion):
    assert emotion("a.wav", "--memory", "100MB", command="plan")[0] == 3


def test_a_profile_tells_plan_what_to_use(emotion, here):
    (here / "p.toml").write_text('memory = "3GiB"\ndecoders = 3\n')
    code, out, _ = emotion("a.wav", "--profile", "p.toml", "--format", "json", command="plan")
    assert code == 0
    assert (json.loads(out)["budget_bytes"], json.loads(out)["decoders"]) == (3 << 30, 3)
    with EmotionRecognizer("tiny", profile=here / "p.toml", decoders=2) as recognizer:
        assert (recognizer.options.memory, recognizer.options.decoders) == ("3GiB", 2)


@pytest.mark.usefixtures("decoded_here")
def test_a_plan_says_which_files_are_too_long_to_run_whole(here, small_checkpoint, capsys):
    minutes = np.tile(voice(60.0), 20)
    (here / "long.wav").write_bytes(audio_files.wav16(minutes[None]))
    budget = f"{(rss_bytes() >> 20) + 330}MiB"
    whole = ["--model", str(small_checkpoint), "--context", "full", "--memory", budget, "--format", "json"]
    assert run(["plan", "a.wav", "long.wav", *whole]) == 1
    short, long = json.loads(capsys.readouterr().out)["inputs"]
    assert short["error"] is None
    assert "--context segment" in long["error"]
