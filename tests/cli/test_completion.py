"""Words that a shell completes, and that nothing heavy is loaded for them."""

from __future__ import annotations

import subprocess
import sys

from helpers.command import environment
from overtone import Options, TranscribeOptions
from overtone.cli import completion, options
from overtone.models.hub import PUBLISHED
from overtone.server.auth import add_key

_COMPLETES = """
import sys
from overtone.cli.app import app
try:
    app(prog_name="overtone")
finally:
    print(*{"torch", "openvino"} & set(sys.modules), file=sys.stderr)
"""


def completed(*words: str) -> list[str]:
    """Completions of the last word, as bash asks the command for them."""
    asked = {
        "_OVERTONE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["overtone", *words]),
        "COMP_CWORD": str(len(words)),
    }
    arguments = [sys.executable, "-c", _COMPLETES]
    ran = subprocess.run(
        arguments, env=environment() | asked, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert ran.stderr == "\n", "a runtime was loaded"
    return ran.stdout.split()


def test_models_are_completed_where_one_is_asked_for() -> None:
    assert completed("emotion", "--model", "plus-") == [name for name in PUBLISHED if name.startswith("plus-")]
    assert set(completed("models", "info", "")) == {"tiny", *PUBLISHED}


def test_devices_are_completed() -> None:
    assert completed("emotion", "--device", "c")[0] == "cpu"
    assert completed("transcribe", "--speaker-device", "c")[0] == "cpu"


def test_every_option_that_takes_a_device_or_a_model_alone_is_completed() -> None:
    names = {*Options.names(), *TranscribeOptions.names()}
    devices = {name for name in names if name == "device" or name.endswith("_device")}
    models = {name for name in names if name in {"model", "emotion"} or name.endswith("_model")}
    assert set(options._COMPLETED) == devices | models | {"transcriber"}


def test_folders_are_models_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert [word for word, _ in completion.complete_model("./")] == ["./mine/"]
    assert [word for word, _ in completion.complete_model(f"{tmp_path}/m")] == [f"{tmp_path}/mine/"]
    assert list(completion.complete_model("/no/such/place")) == []


def test_gpus_are_completed_by_their_device_nodes(monkeypatch) -> None:
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: iter(["/dev/nvidia0", "/dev/nvidia1"]))
    assert [word for word, _ in completion.complete_device("cuda")] == ["cuda:0", "cuda:1", "cuda:all"]


def test_names_of_keys_are_completed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "keys.json"
    monkeypatch.setattr("overtone.server.auth.default_path", lambda: path)
    assert list(completion.complete_key("")) == []
    add_key(path, "ada", None)
    add_key(path, "bob", None)
    assert [word for word, _ in completion.complete_key("a")] == ["ada"]
