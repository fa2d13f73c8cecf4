"""Converted models: made once, whole or not at all, measured against float32, and run where there is no PyTorch."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.audio_files import wav16
from helpers.children import FORBIDDEN
from helpers.clips import EXAMPLES, buzz
from helpers.command import SRC, environment
from helpers.paths import ROOT
from overtone import Audio, EmotionRecognizer, conversion
from overtone.backends.openvino.model_file import ModelFile
from overtone.batching.weights_budget import LoadingBudget
from overtone.cli.app import run
from overtone.conversion import agreement, calibration_audio, converter, store
from overtone.errors import BudgetError, CheckpointError, DeviceError, InputError, ModelError, UsageError
from overtone.models import checkpoints
from overtone.models import converted as on_disk
from overtone.models.classifier import Head, write_classifier
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.file_digests import sha256
from overtone.system import subprocess_call
from overtone.system.machine import rss_bytes

CALL = EXAMPLES / "call.mp3"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that holds nothing yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("OVERTONE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def made(small_checkpoint: Path) -> on_disk.Converted:
    """The small network in float32, made once for all that only begin with it."""
    return conversion.converted(checkpoints.read(small_checkpoint, name="c"), "fp32")


@pytest.fixture
def kept(made: on_disk.Converted, own_cache: Path) -> on_disk.Converted:
    """The same, in a cache folder that holds nothing else."""
    shutil.copytree(made.folder, own_cache / "converted" / made.folder.name)
    found = on_disk.read(own_cache / "converted" / made.folder.name, "c")
    assert found is not None
    return found


@pytest.fixture
def instant(made: on_disk.Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions to float32 take no time: what they would write was made before.

    For tests of when something is converted, and of what is then kept; others see to how.
    """

    def run(function: Any, _: checkpoints.Checkpoint, folder: Path, source: str, **__: object) -> None:
        assert function.func is converter.export
        assert source == made.source
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)

    monkeypatch.setattr(subprocess_call, "run", run)


def kept_in(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "converted").iterdir() if path.is_dir())


@pytest.mark.usefixtures("instant")
def test_a_checkpoint_is_converted_once(own_cache: Path, small_checkpoint: Path) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    first = conversion.converted(checkpoint, "fp32")
    made = (first.folder / "encoder.bin").stat().st_mtime_ns
    assert conversion.converted(checkpoint, None).folder == first.folder
    assert conversion.converted(checkpoint, "bf16").folder == first.folder
    assert (first.folder / "encoder.bin").stat().st_mtime_ns == made
    assert len(kept_in(own_cache)) == 1
    assert first.source == sha256(checkpoint.weights)


@pytest.mark.usefixtures("kept", "instant")
def test_other_weights_or_labels_are_another_model(own_cache: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    conversion.converted(checkpoints.read(small_checkpoint, name="c"), "fp32")
    assert len(kept_in(own_cache)) == 1
    other = shutil.copytree(small_checkpoint, tmp_path / "other")
    labels = (other / "tokens.txt").read_text(encoding="utf-8").split("\n")
    (other / "tokens.txt").write_text("\n".join(labels[::-1]).strip() + "\n", encoding="utf-8")
    conversion.converted(checkpoints.read(other, name="o"), "fp32")
    assert len(kept_in(own_cache)) == 2


@pytest.mark.usefixtures("instant")
def test_a_broken_one_in_the_cache_is_made_again(kept: on_disk.Converted, small_checkpoint: Path) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    folder = conversion.converted(checkpoint, "fp32").folder
    assert folder == kept.folder
    for damage in ((folder / "encoder.bin").unlink, lambda: (folder / "overtone.json").write_text("{")):
        damage()
        again = conversion.converted(checkpoint, "fp32")
        assert (again.folder / "encoder.bin").is_file()
        assert again.precision == "fp32"


@pytest.mark.usefixtures("instant")
def test_a_conversion_that_fails_leaves_nothing(
    own_cache: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, checkpoint: object, folder: Path, *rest: object, **limits: object) -> None:
        (folder / "encoder.bin").write_bytes(b"half of it")
        raise OSError("no space left on device")

    checkpoint = checkpoints.read(small_checkpoint, name="c")
    with monkeypatch.context() as patch:
        patch.setattr(subprocess_call, "run", fail)
        with pytest.raises(ModelError, match=r"no space left.*OVERTONE_CACHE"):
            conversion.converted(checkpoint, "fp32")
    assert kept_in(own_cache) == []
    assert conversion.converted(checkpoint, "fp32").precision == "fp32"


CONVERTS = """
import shutil, sys, time
from pathlib import Path
from overtone import conversion
from overtone.models import checkpoints
from overtone.system import subprocess_call

def run(function, checkpoint, folder, *_, **__):
    while not Path(sys.argv[3]).exists():
        time.sleep(0.02)
    shutil.copytree(sys.argv[2], folder, dirs_exist_ok=True)

subprocess_call.run = run
checkpoint = checkpoints.read(Path(sys.argv[1]), name="c")
print("begins", flush=True)
print(conversion.converted(checkpoint, "fp32").folder)
"""
"""A program that converts to what was made before, and is done with it once a file is there."""


def test_two_processes_that_convert_at_once_make_one(
    own_cache: Path, small_checkpoint: Path, made: on_disk.Converted, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    command = [sys.executable, "-c", CONVERTS, str(small_checkpoint), str(made.folder), str(go_on)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment())
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
    time.sleep(0.3)  # in which both would have begun, if neither heeded the other
    go_on.touch()
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    (folder,) = kept_in(own_cache)
    assert [out for out, _ in answers] == [f"{own_cache / 'converted' / folder}\n"] * 2
    assert sum("converting it" in told for _, told in answers) == 1


def feeders(graph: Path, kind: str) -> set[str]:
    """Kinds of the operations whose outputs the operations of one kind take, wherever these are moved to between."""
    found = set()
    for op in ModelFile(graph).model.get_ops():
        if op.get_type_name() == kind:
            taken = op.input_value(0).get_node()
            while taken.get_type_name() in ("Transpose", "Reshape"):
                taken = taken.input_value(0).get_node()
            found.add(taken.get_type_name())
    return found


def test_int8_is_measured_and_said_in_results(
    first_run: SimpleNamespace, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERTONE_CACHE", str(first_run.cache))
    monkeypatch.setattr(subprocess_call, "run", pytest.fail)  # it was made there
    found = conversion.converted(checkpoints.read(small_checkpoint, name="c"), "int8")
    assert found.precision == "int8"
    assert set(found.made_with) == {"overtone", "openvino", "torch", "nncf"}
    measured = found.agreement
    assert measured is not None
    assert measured.windows == len(calibration_audio.windows((), "held-out"))
    assert measured.labels is not None
    assert measured.score is not None
    assert 0 <= measured.labels <= 1  # of random weights, whose scores are all alike
    assert 0 < measured.score < 0.1
    assert 0.9 < measured.cosine < 1
    for graph in ("features", "encoder"):
        fed = feeders(found.folder / f"{graph}.xml", "MVN")
        assert fed
        assert "FakeQuantize" not in fed  # norms lose by 8 bits, and are no faster
    with EmotionRecognizer(str(small_checkpoint), precision="int8") as recognizer:
        result = recognizer(CALL)
    assert (result.precision, result.device, result.backend) == ("int8", "cpu", "openvino")


@pytest.fixture(scope="module")
def eight(small_checkpoint: Path, made: on_disk.Converted, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What the command makes in eight bits of audio that is named."""
    folder = tmp_path_factory.mktemp("eight")
    audio = [str(EXAMPLES / "angry.wav"), str(EXAMPLES / "sad.wav")]
    arguments = ["models", "convert", str(small_checkpoint), "--precision", "int8", "-o", str(folder / "made")]
    written = io.BytesIO()
    shutil.copytree(made.folder, folder / "cache" / "converted" / made.folder.name)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.TextIOWrapper(written, encoding="utf-8", write_through=True)) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        patch.setenv("OVERTONE_CACHE", str(folder / "cache"))
        code = run([*arguments, "--calibrate", audio[0], "--calibrate", audio[1]])
    out.flush()
    said = written.getvalue().decode()
    return SimpleNamespace(code=code, out=said, err=err.getvalue(), folder=folder / "made", audio=audio)


def test_a_folder_runs_in_what_it_was_converted_to(eight: SimpleNamespace, small_checkpoint: Path) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    made = on_disk.read(eight.folder, "c")
    assert made is not None
    assert made.agreement is not None
    assert made.agreement.audio == ", ".join(eight.audio)
    folder = str(eight.folder)
    with EmotionRecognizer(folder) as recognizer:
        assert recognizer(EXAMPLES / "sad.wav").precision == "int8"
    with pytest.raises(CheckpointError, match="was converted to int8; pass precision='int8'"):
        EmotionRecognizer(folder, precision="fp32")
    with pytest.raises(CheckpointError, match="PyTorch and CUDA need the published checkpoint"):
        EmotionRecognizer(folder, backend="torch")
    with pytest.raises(UsageError, match="exists already"):
        conversion.convert(checkpoint, eight.folder, "fp32")


@pytest.mark.usefixtures("converted_here")
def test_what_is_wrong_with_a_converted_folder_is_said(small_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    conversion.convert(checkpoints.read(small_checkpoint, name="c"), folder, "fp32")
    said = json.loads((folder / "overtone.json").read_text())

    def refused(match: str) -> None:
        with pytest.raises(CheckpointError, match=match):
            EmotionRecognizer(str(folder))

    (folder / "overtone.json").write_text(json.dumps(said | {"format": 99}))
    refused(r"format 99.*convert it again")
    (folder / "overtone.json").write_text(json.dumps([]))
    refused("broken")
    (folder / "overtone.json").write_text(json.dumps(said))
    head = (folder / "head.safetensors").read_bytes()
    (folder / "head.safetensors").write_bytes(head[:40])
    refused(r"head\.safetensors has 40 bytes instead of \d+; convert")
    (folder / "head.safetensors").write_bytes(bytes(len(head)))
    refused(r"head\.safetensors is damaged.*convert")
    # Folders from before checksums were kept are taken as they are.
    unverified = json.dumps({key: value for key, value in said.items() if key != "checksums"})
    (folder / "overtone.json").write_text(unverified)
    refused("missing or broken")
    (folder / "head.safetensors").write_bytes(head)
    for name in ("encoder.xml", "features.xml", "encoder.bin"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        refused(rf"{name} has \d+ bytes instead of {len(whole)}; convert")
        (folder / name).write_bytes(whole)
        if name.endswith(".xml"):
            (folder / name).write_bytes(whole[: len(whole) // 2].ljust(len(whole)))
            refused(r"cannot be loaded by OpenVINO.*convert")
            (folder / "overtone.json").write_text(json.dumps(said))
            refused(rf"{name}: is damaged: its checksum .*convert")
            (folder / "overtone.json").write_text(unverified)
            (folder / name).write_bytes(whole)
    write_classifier(folder, Head(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), ("a", "b")))
    on_disk.write(on_disk.Converted(folder, "fp32", "0", {}, None))
    refused("has shape")
    (folder / "encoder.bin").unlink()
    refused(r"no weights|encoder.bin is missing")


@pytest.mark.parametrize(("precision", "extra"), [("fp32", "torch"), ("int8", "int8")])
def test_what_conversion_lacks_is_named_before_it_begins(
    own_cache: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, precision: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(subprocess_call, "run", pytest.fail)
    with pytest.raises(ModelError, match=rf"pip install 'overtone\[{extra}\]'"):
        conversion.converted(checkpoints.read(small_checkpoint, name="c"), precision)


LEAVES_NO_TRACE = f"""
import sys
def watch(event, arguments):
    assert event not in {FORBIDDEN}, (event, arguments)
sys.addaudithook(watch)
from functools import partial
from pathlib import Path
from helpers.children import watched
from overtone import EmotionRecognizer
from overtone.system import subprocess_call
subprocess_call.run = partial(subprocess_call.run, watched, Path(sys.argv[4]))
with EmotionRecognizer(sys.argv[1], precision=sys.argv[2]) as recognizer:
    assert recognizer(sys.argv[3]).precision == sys.argv[2]
assert not {{"torch", "nncf", "openvino_telemetry"}} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def first_run(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A program that has int8 made and runs it, with a cache that held nothing; conversions are watched."""
    folder = tmp_path_factory.mktemp("first")
    cache, events = folder / "cache", folder / "events"
    ran = subprocess.run(
        [sys.executable, "-c", LEAVES_NO_TRACE, str(small_checkpoint), "int8", str(EXAMPLES / "sad.wav"), str(events)],
        env=environment(OVERTONE_CACHE=str(cache), PYTHONPATH=os.pathsep.join((str(SRC), str(ROOT / "tests")))),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    return SimpleNamespace(code=ran.returncode, err=ran.stderr, cache=cache, events=events)


@pytest.mark.slow
def test_a_first_run_leaves_no_torch_in_the_process_and_tells_nobody(first_run: SimpleNamespace) -> None:
    assert first_run.code == 0, first_run.err
    assert len(kept_in(first_run.cache)) == 2


def test_conversions_tell_nobody(first_run: SimpleNamespace) -> None:
    told = [json.loads(line) for line in first_run.events.read_text(encoding="utf-8").splitlines()]
    assert told == [[], []]  # of that to float32, and of that to int8


@pytest.mark.usefixtures("converted_here")
def test_labels_under_another_name_are_converted_too(own_cache: Path, tmp_path: Path) -> None:
    folder = random_checkpoint.write(tmp_path / "c")
    os.rename(folder / "tokens.txt", folder / "labels.txt")
    metas = json.loads((folder / "configuration.json").read_text())
    metas["file_path_metas"]["tokenizer_conf"] = {"token_list": "labels.txt"}
    (folder / "configuration.json").write_text(json.dumps(metas))
    conversion.convert(checkpoints.read(folder, name="c"), tmp_path / "made", "fp32")
    assert checkpoints.read(tmp_path / "made", name="m").labels() == checkpoints.read(folder, name="c").labels()


@pytest.mark.usefixtures("converted_here")
def test_what_came_to_be_there_meanwhile_is_left_alone(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = converter.copy

    def slowly(checkpoint: checkpoints.Checkpoint, reference: on_disk.Converted, folder: Path) -> None:
        copy(checkpoint, reference, folder)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "mine.txt").write_text("keep me")

    monkeypatch.setattr(converter, "copy", slowly)
    with pytest.raises(UsageError, match="cannot be written"):
        conversion.convert(checkpoints.read(small_checkpoint, name="c"), tmp_path / "made", "fp32")
    assert (tmp_path / "made" / "mine.txt").read_text() == "keep me"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]


@pytest.mark.usefixtures("instant")
def test_leftovers_of_a_killed_conversion_are_swept(kept: on_disk.Converted, small_checkpoint: Path) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    left = kept.folder.parent / f".part-{kept.folder.name}-x"
    left.mkdir()
    (kept.folder / "encoder.bin").write_bytes(b"cut short")
    again = conversion.converted(checkpoint, "fp32")
    assert (again.folder / "encoder.bin").stat().st_size > 1000
    assert not left.exists()


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("name", ["encoder.bin", "features.xml", "head.safetensors"])
def test_a_kept_model_that_is_damaged_is_made_again(
    kept: on_disk.Converted, small_checkpoint: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    whole = (kept.folder / name).read_bytes()
    (kept.folder / name).write_bytes(bytes(100) + whole[100:])
    with EmotionRecognizer(str(small_checkpoint)) as recognizer:
        assert recognizer(EXAMPLES / "sad.wav").label
    assert f"{kept.folder} is damaged, and is made again" in caplog.text
    again = conversion.converted(checkpoint, "fp32")
    on_disk.verify(again, again.files, "c")


def test_a_kept_model_that_cannot_be_deleted_is_refused(
    kept: on_disk.Converted, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept.folder / "encoder.bin").write_bytes(bytes((kept.folder / "encoder.bin").stat().st_size))

    def refuse(*_: object, ignore_errors: bool = False, **__: object) -> None:
        if not ignore_errors:
            raise PermissionError(errno.EROFS, "read-only")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(CheckpointError, match=r"encoder\.bin: is damaged.*or delete the folder"):
        EmotionRecognizer(str(small_checkpoint))


def test_bf16_is_converted_where_it_cannot_run(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    reference = conversion.converted(checkpoint, "fp32")
    monkeypatch.setattr(converter, "has_fast_bf16", lambda: False)
    converter.to_precision(checkpoint, reference, tmp_path, "bf16")
    made = on_disk.read(tmp_path, "c")
    assert made is not None
    assert (made.precision, made.agreement) == ("bf16", None)


def test_a_precision_that_cannot_run_is_refused_before_anything_is_converted(
    own_cache: Path, small_checkpoint: Path
) -> None:
    with pytest.raises(DeviceError, match="fp16 is for CUDA"):
        EmotionRecognizer(str(small_checkpoint), device="cpu", precision="fp16")
    assert not (own_cache / "converted").exists()


WITHOUT_TORCH = """
import sys
for name in ("torch", "silero_vad", "nncf"):
    sys.modules[name] = None  # what an import of it then says: not installed
from overtone import EmotionRecognizer
for options in ({}, {"precision": "bf16"}, {"context": "full"}, {"segment": "window"}):
    if options.get("precision") == "bf16":
        from overtone.backends.openvino.compiled_model import has_fast_bf16
        if not has_fast_bf16():
            continue
    with EmotionRecognizer("tiny", **options) as recognizer:
        result = recognizer(sys.argv[2 if options else 1])
        assert result.ok and sum(result.scores.values()) > 0.999, result
        assert options or result.label == "neutral"
        assert result.backend == "openvino"
assert sys.modules["torch"] is None
"""


@pytest.mark.slow
def test_the_core_runs_without_pytorch() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(CALL), str(EXAMPLES / "sad.wav")]
    subprocess.run(command, env=environment(), check=True, timeout=120)


def test_tiny_converted_is_tiny_published() -> None:
    tiny = checkpoints.find("tiny")
    own = on_disk.read(tiny.folder, "tiny")
    assert own is not None
    assert own.source == sha256(tiny.weights), "run training/convert_tiny.py"
    with EmotionRecognizer("tiny") as ours, EmotionRecognizer("tiny", backend="torch") as theirs:
        found, expected = ours(CALL), theirs(CALL)
    assert (found.backend, expected.backend) == ("openvino", "torch")
    # Two libraries' orders of addition; 1e-4 is what is promised against the published code.
    assert list(found.scores.values()) == pytest.approx(list(expected.scores.values()), abs=1e-5)  # type: ignore[union-attr]


def test_agreement_is_what_it_says() -> None:
    head = Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), ("a", "b"))
    expected = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
    found = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
    told = agreement.compare(expected, found, head, "x")
    assert (told.labels, told.windows, told.audio) == (0.75, 4, "x")
    assert told.cosine == pytest.approx(0.75)
    p = 1 / (1 + np.exp(-1.0))
    assert told.score == pytest.approx((2 * p - 1) / 4)
    assert agreement.compare(expected, found, None, "x").labels is None
    assert "same label 75.0 %" in str(told)


def test_speech_for_measuring_is_never_speech_for_calibrating(tmp_path: Path) -> None:
    for audio in ((), (str(CALL),)):
        calibration, held_out = (calibration_audio.windows(audio, part) for part in ("calibration", "held-out"))
        assert len(calibration) >= 6
        assert len(held_out) >= 6
        assert not any(np.array_equal(a, b) for a in calibration for b in held_out)
    (tmp_path / "short.wav").write_bytes(wav16(buzz(2.0)[None]))
    with pytest.raises(InputError, match="two or more"):
        calibration_audio.windows([str(tmp_path / "short.wav")], "held-out")
    with pytest.raises(InputError, match="nowhere"):
        calibration_audio.windows([str(tmp_path / "nowhere.wav")], "held-out")


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = run([*map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_converts_and_says_what_it_cost(
    eight: SimpleNamespace, small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = eight.folder
    assert (eight.code, eight.out.strip()) == (0, str(folder)), eight.err
    assert "same label" in eight.err
    _, shown, _ = command(capsys, "models", "info", folder)
    assert "int8" in shown
    assert "same label" in shown
    code, _, err = command(capsys, "models", "convert", small_checkpoint, "-o", folder)
    assert code == 2
    assert "exists already" in err
    code, _, err = command(
        capsys, "models", "convert", small_checkpoint, "--precision", "int8", "--onnx", "-o", tmp_path / "x"
    )
    assert code == 2
    assert "--precision fp32" in err


@pytest.mark.parametrize(
    ("options", "lacking", "code", "said"),
    [
        (["--precision", "int8", "--onnx"], "", 2, "--onnx writes float32 models"),
        (["--precision", "bf16", "--onnx"], "", 2, "--onnx writes float32 models"),
        (["--calibrate", CALL], "", 2, "in fp32 there is nothing to calibrate"),
        (["--precision", "int8", "--calibrate", "-"], "", 2, "standard input does not allow"),
        (["--onnx"], "torch", 4, "pip install 'overtone[onnx]'"),
        (["--onnx"], "onnx", 4, "pip install 'overtone[onnx]'"),
        (["--onnx"], "onnxscript", 4, "pip install 'overtone[onnx]'"),
    ],
)
def test_what_the_command_cannot_do_it_says_before_it_fetches_anything(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str | Path],
    lacking: str,
    code: int,
    said: str,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == lacking else real(name))
    monkeypatch.setattr(checkpoints, "find", pytest.fail)
    found, _, err = command(capsys, "models", "convert", "plus-large", *options, "-o", tmp_path / "x")
    assert found == code
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converted_here")
def test_onnx_of_a_converted_folder_is_refused_before_one_is_made(
    small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    folder = tmp_path / "made"
    assert command(capsys, "models", "convert", small_checkpoint, "-o", folder)[0] == 0
    code, _, err = command(capsys, "models", "convert", folder, "--onnx", "-o", tmp_path / "again")
    assert (code, "takes the published checkpoint" in err) == (4, True)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.usefixtures("converted_here")
def test_the_command_takes_a_checkpoint_with_more_in_it(
    own_cache: Path, small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    more = shutil.copytree(small_checkpoint, tmp_path / "more")
    state = torch.load(more / "model.pt", weights_only=True)
    inner = state.get("model", state)
    inner["from_another_network"] = torch.zeros(3)
    torch.save(state, more / "model.pt")
    code, _, err = command(capsys, "models", "convert", more, "-o", tmp_path / "made")
    assert (code, "from_another_network" in err) == (4, True)
    code, _, err = command(capsys, "models", "convert", more, "-o", tmp_path / "made", "--ignore-unknown-tensors")
    assert code == 0, err


def test_a_precision_that_was_not_measured_is_not_called_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(_: object, folder: Path, precision: str, *__: object, **___: object) -> on_disk.Converted:
        folder.mkdir()
        return on_disk.Converted(folder, precision, "", {}, None)

    monkeypatch.setattr("overtone.cli.convert.converted_to", made)
    for precision, said in (("bf16", "not measured: this processor has no fast bf16"), ("fp32", "it is the reference")):
        folder = tmp_path / precision
        code, _, err = command(capsys, "models", "convert", "tiny", "--precision", precision, "-o", folder)
        assert code == 0
        assert re.search(rf"^agreement +{said}$", err, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.usefixtures("converted_here")
def test_onnx_models_say_what_ours_say(
    small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    from overtone.backends.openvino.compiled_model import CompiledModel

    folder = tmp_path / "made"
    code, _, err = command(capsys, "models", "convert", small_checkpoint, "--onnx", "-o", folder)
    assert code == 0, err
    random = np.random.default_rng(0)
    inputs = {"features": random.standard_normal((2, 41, 48)).astype(np.float32), "counts": np.array([41, 30])}
    ours = CompiledModel(folder / "encoder.xml", threads=1).infer(inputs)
    theirs = CompiledModel(folder / "encoder.onnx", threads=1).infer(inputs)
    np.testing.assert_allclose(theirs[0], ours[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(theirs[1, :30], ours[1, :30], rtol=0, atol=1e-5)


def test_the_cache_folder_that_cannot_be_written_is_named(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVERTONE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="OVERTONE_CACHE"):
        EmotionRecognizer(str(small_checkpoint))


def test_silence_and_speech_give_the_same_in_any_cache(small_checkpoint: Path) -> None:
    with EmotionRecognizer(str(small_checkpoint)) as a, EmotionRecognizer(str(small_checkpoint)) as b:
        clip = Audio(buzz(2.0), 16_000)
        assert a(clip).scores == b(clip).scores
        assert os.path.isdir(os.environ["OVERTONE_CACHE"])


def test_a_budget_that_does_not_hold_a_conversion_is_refused_before_it_begins(
    own_cache: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*_: object, **__: object) -> None:
        raise AssertionError("it was begun")

    monkeypatch.setattr(subprocess_call, "run", begun)
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    with pytest.raises(BudgetError, match=r"100 MiB cannot hold the conversion of c to fp32.*memory='\d+MiB' would do"):
        conversion.converted(checkpoint, "fp32", budget=LoadingBudget(100 << 20))
    assert kept_in(own_cache) == []


def test_a_conversion_that_takes_more_than_was_expected_is_ended(
    own_cache: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "check_conversion", lambda *_, **__: None)
    checkpoint = checkpoints.read(small_checkpoint, name="c")
    with pytest.raises(BudgetError, match=r"c: its conversion to fp32 was ended.*it held [0-9.]+ MiB"):
        conversion.converted(checkpoint, "fp32", budget=LoadingBudget(rss_bytes() + (60 << 20)))
    assert kept_in(own_cache) == []
