"""`overtone profile`."""

from __future__ import annotations

import re
import sys

import pytest

from overtone.system.profiler import STAGES


def test_profile(emotion):
    code, out, err = emotion("a.wav", "deep", command="profile")
    assert code == 1
    for line in ("load", *STAGES, "whole", "pipeline", "processor", "batches", "memory", "gpu"):
        assert re.search(rf"^{line} ", out, re.MULTILINE), line
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line and line[0] != " "}
    wall_s, cpu_s = float(rows["whole"][1]), float(rows["whole"][4])
    stages = {stage: (float(rows[stage][1]), float(rows[stage][4])) for stage in STAGES}
    # The three decimals of each row may be rounded up.
    assert 0 < stages["run"][0] <= wall_s + 0.001
    assert sum(stages[stage][0] for stage in ("batch", "run", "idle")) <= wall_s + 0.003
    assert sum(cpu for _, cpu in stages.values()) <= cpu_s + 0.03  # the process's own clock ticks every 10 ms
    ratio = re.search(r"^pipeline +(\d+\.\d+) × the model's own time", out, re.MULTILINE)
    assert ratio is not None
    assert float(ratio[1]) >= 1
    assert re.search(r"^batches +2 segments in [12];", out, re.MULTILINE)
    assert "broken.wav" in err


def test_profile_draws_its_stages(emotion, here, monkeypatch):
    assert emotion("a.wav", "b.flac", "--gantt", "new/run.png", command="profile")[0] == 0
    picture = here / "new" / "run.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in picture.parent.iterdir()] == ["run.png"]
    loads = []
    monkeypatch.setattr("overtone.cli.profile.EmotionRecognizer.with_options", lambda *_: loads.append(1))
    before = picture.read_bytes()
    code, _, err = emotion("a.wav", "--gantt", "new/run.png", command="profile")
    assert code == 2
    assert "run.png is there already; give --overwrite" in err
    assert picture.read_bytes() == before
    assert not loads
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert emotion("a.wav", "--gantt", "new/run.png", "--overwrite", command="profile")[0] == 0
    assert picture.read_bytes() != before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("run.svg", "end in .png"),
        ("run", "end in .png"),
        ("deep.png/", "end in .png"),
        ("folder.png", "is a folder"),
        ("a.wav/run.png", "cannot write"),
    ],
)
def test_a_place_where_no_picture_can_be_is_refused_before_the_run(emotion, here, monkeypatch, path, said):
    (here / "folder.png").mkdir()
    loads = []
    monkeypatch.setattr("overtone.cli.profile.EmotionRecognizer.with_options", lambda *_: loads.append(1))
    code, _, err = emotion("a.wav", "--gantt", path, command="profile")
    assert code == 2
    assert said in err
    assert not loads


def test_a_picture_without_matplotlib_is_refused_before_the_run(emotion, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    code, _, err = emotion("a.wav", "--gantt", "run.png", command="profile")
    assert code == 2
    assert "overtone[plot]" in err
    assert not (here / "run.png").exists()
