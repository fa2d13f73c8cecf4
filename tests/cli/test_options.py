"""Options of the commands: budget, model and device, from the call, the environment and a file."""

from __future__ import annotations

import re
import shutil

import pytest

from helpers.command import CLASSES, environment, finish, lines, start
from overtone.cli.app import run
from overtone.models.emotion2vec.random_checkpoint import LABELS


def test_a_budget_that_is_too_small(emotion, monkeypatch):
    monkeypatch.setenv("OVERTONE_DECODE", "processes")  # which take their part of it
    code, out, err = emotion("a.wav", "--memory", "100MB")
    assert (code, out) == (3, "")
    assert "95.4 MiB" in err
    assert "--memory" in err
    assert "smaller model" in err


def test_a_budget_that_misses_by_a_little_names_one_that_does(emotion, monkeypatch):
    monkeypatch.setenv("OVERTONE_DECODE", "processes")  # which take their part of it
    code, out, err = emotion("a.wav", "--memory", "100MB")
    for _ in range(3):
        assert (code, out) == (3, "")
        told = re.search(r"--memory (\d+MiB)", err)
        assert told
        code, out, err = emotion("a.wav", "--memory", told[1])
        if code == 0:
            return
    pytest.fail(f"the budget that was asked for does not do either: {err}")


def test_models_that_cannot_be_had(here, small_checkpoint, capsys):
    (here / "checkpoint").mkdir()
    broken = here / "broken"
    shutil.copytree(small_checkpoint, broken)
    (broken / "model.pt").write_bytes((broken / "model.pt").read_bytes()[:5000])
    for model, code, said in (
        ("no-such-model", 2, "plus-large"),
        ("checkpoint", 4, "config.yaml"),
        ("broken", 4, "broken"),
        ("a.wav", 4, "folder"),
        ("plus-large", 4, "models pull"),
        ("nobody/nothing", 4, "models pull"),
    ):
        assert run(["emotion", "a.wav", "--model", model]) == code, model
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert said in err


def test_no_network(small_checkpoint, tmp_path):
    """A hub that does not answer, not one that was forbidden."""
    unreachable = environment(HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path))
    code, out, err = finish(start("emotion", "x.wav", "--model", "plus-base", env=unreachable))
    assert (code, out) == (4, "")
    assert "could not be fetched" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("options", "said"), [(["--device", "tpu"], "tpu"), (["--precision", "fp16"], "fp32")])
def test_devices_and_precisions_that_are_not_here(emotion, options, said):
    code, out, err = emotion("a.wav", "--device", "cpu", *options)
    assert (code, out) == (4, "")
    assert said in err


@pytest.mark.usefixtures("decoded_here")
def test_config_file_and_environment(here, small_checkpoint, monkeypatch, capsys):
    settings = here / "settings.toml"
    settings.write_text(f'model = "{small_checkpoint}"\ngranularity = "utterance"\nlabels = "published"\n')
    monkeypatch.setenv("OVERTONE_CONFIG", str(settings))
    monkeypatch.setenv("OVERTONE_LABELS", "english")
    monkeypatch.setenv("OVERTONE_THREADS", "1")

    def keys(*arguments: str) -> dict:
        assert run(["emotion", "-q", "a.wav", *arguments]) == 0
        return lines(capsys.readouterr().out)[0]

    assert "segments" not in keys()  # the file
    assert list(keys()["scores"]) == CLASSES  # the environment over the file
    assert list(keys("--labels", "published")["scores"]) == LABELS  # the call over both
    assert "segments" in keys("--granularity", "segment")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OVERTONE_MODLE", "tiny", "did you mean 'model'"),
        ("OVERTONE_THREADS", "two", "OVERTONE_THREADS=two"),
        ("OVERTONE_KEEP_SILENCE", "perhaps", "write 1 or 0"),
        ("OVERTONE_GRANULARITY", "word", "utterance"),
        ("OVERTONE_CONFIG", "/nowhere.toml", "/nowhere.toml"),
    ],
)
def test_settings_that_are_wrong(here, monkeypatch, capsys, variable, value, said):
    monkeypatch.setenv(variable, value)
    assert run(["emotion", "a.wav"]) == 2
    assert said in capsys.readouterr().err


def test_config_files_that_are_wrong(here, monkeypatch, capsys):
    monkeypatch.setenv("OVERTONE_CONFIG", "settings.toml")
    for text, said in (
        ("modle = 1", "did you mean 'model'"),
        ("model = ", "settings.toml"),
        ("threads = 'x'", "settings.toml: --threads is"),
    ):
        (here / "settings.toml").write_text(text)
        assert run(["emotion", "a.wav"]) == 2
        assert said in capsys.readouterr().err
