"""Messages name options as whoever reads them gives options, and no message of the package holds a bare flag."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.paths import ROOT
from overtone.batching.cost_model import CostModel
from overtone.batching.memory_plan import make_plan
from overtone.errors import BudgetError, OvertoneError, RefusedError, UsageError, with_source
from overtone.models.registry import check_decode_params
from overtone.options.emotion import Options
from overtone.options.transcription import TranscribeOptions
from overtone.output.formats.open_sink import check_sink
from overtone.server.api.problems import openai_error_of, problem_of
from overtone.server.ui.errors import Limits, explained
from overtone.system.devices import check_offload, resolve_devices
from overtone.wording import param, params_in, speaking_to, worded


@pytest.mark.parametrize(
    ("token", "command", "python", "http"),
    [
        (param("max_segment"), "--max-segment", "max_segment", "max_segment"),
        (param("max_segment", 20.0), "--max-segment 20", "max_segment=20", "max_segment=20"),
        (param("segment", "none"), "--segment none", "segment='none'", "segment=none"),
        (param("memory", "2GiB"), "--memory 2GiB", "memory='2GiB'", "memory=2GiB"),
        (param("port", 80), "--port 80", "port=80", "port=80"),
        (param("speakers", True), "--speakers", "speakers=True", "speakers=true"),
        (param("itn", False), "--no-itn", "itn=False", "itn=false"),
    ],
)
def test_each_face_has_its_form(token: str, command: str, python: str, http: str) -> None:
    text = f"give {token}, or less."
    assert worded(text) == worded(text, "python") == f"give {python}, or less."
    assert worded(text, "command") == f"give {command}, or less."
    assert worded(text, "http") == f"give {http}, or less."
    with speaking_to("command"):
        assert worded(text) == f"give {command}, or less."
        assert worded(text, "http") == f"give {http}, or less."
    assert worded(text) == f"give {python}, or less."


@given(st.text(), st.text(), st.sampled_from(["command", "python", "http"]))
def test_text_that_names_no_option_is_left_as_it_is(before: str, value: str, face: Any) -> None:
    if not set("\ufdd0\ufdd1") & set(before + value):
        assert worded(before, face) == before
        assert value in worded(param("model", value), "command")
        assert params_in(f"{before}{param('model', value)}{before}{param('hop')}") == ("model", "hop")


def test_a_message_made_of_another_keeps_its_options_unworded() -> None:
    error = RefusedError(f"give {param('hop')}", retry_after_s=3.0)
    for copy in (with_source(error, "a.wav"), pickle.loads(pickle.dumps(with_source(error, "a.wav")))):
        assert isinstance(copy, RefusedError)
        assert (copy.retry_after_s, copy.code) == (3.0, error.code)
        assert str(copy) == "a.wav: give hop"
        assert copy.worded("command") == "a.wav: give --hop"
        assert repr(copy) == "RefusedError('a.wav: give hop')"
        assert with_source(copy, "a.wav") is copy


# The same error at each face

LIMITS = Limits(1 << 20, 60.0, 10)


def _options(**given: Any) -> Callable[[], object]:
    return lambda: Options(**given)


def _transcription(**given: Any) -> Callable[[], object]:
    return lambda: TranscribeOptions(**given)


ERRORS: list[tuple[Callable[[], object], str, str, str]] = [
    (_options(max_segment=9999.0), "--max-segment is 9999", "max_segment is 9999", "max_segment is 9999"),
    (_options(memory="lots"), "--memory: 'lots' is", "memory: 'lots' is", "memory: 'lots' is"),
    (_options(precision="fp13"), "--precision is 'fp13'", "precision is 'fp13'", "precision is 'fp13'"),
    (_options(hop=9.0), "--hop 9 is longer than --window 4", "hop=9 is longer than window=4", "hop=9 is longer than"),
    (_options(vad="fsmn-vad"), "--vad is 'fsmn-vad'", "vad is 'fsmn-vad'", "vad is 'fsmn-vad'"),
    (lambda: Options().for_call(segment="none"), "--segment none (", "segment='none' (", "segment=none ("),
    (
        lambda: Options().for_call(max_segment=60.0),
        "longer --max-segment.",
        "longer max_segment.",
        "longer max_segment.",
    ),
    (lambda: Options().for_call(memory="1GiB"), "--memory is settled", "memory is settled", "memory is settled"),
    (_transcription(num_speakers=2), "takes --speakers,", "takes speakers=True,", "takes speakers=true,"),
    (_transcription(merge_length_s=5.0), "take --vad fsmn-vad", "take vad='fsmn-vad'", "take vad=fsmn-vad"),
    (
        lambda: check_decode_params("SenseVoiceSmall", TranscribeOptions(hotwords="a")),
        "--hotwords takes",
        "hotwords takes",
        "hotwords takes",
    ),
    (
        lambda: check_decode_params("Paraformer", TranscribeOptions(itn=False)),
        "--no-itn is for",
        "itn=False is for",
        "itn=false is for",
    ),
    (
        lambda: check_sink("o.rttm", granularity="word", speakers=False),
        "with --speakers,",
        "with speakers=True,",
        "with speakers=true,",
    ),
    (lambda: check_offload("cpu"), "--device cuda:N", "device='cuda:N'", "device=cuda:N"),
    (lambda: resolve_devices("cpu,cpu"), "--device cpu", "device='cpu'", "device=cpu"),
]


@pytest.mark.parametrize(("call", "command", "python", "http"), ERRORS)
def test_an_error_names_options_as_its_reader_gives_them(
    call: Callable[[], object], command: str, python: str, http: str
) -> None:
    with pytest.raises(OvertoneError) as caught:
        call()
    error = caught.value
    assert python in str(error)
    assert "--" not in str(error)
    with speaking_to("command"):
        assert command in str(error)
    assert http in error.worded("http")
    if isinstance(error, UsageError):
        with speaking_to("command"):  # as in a process that the command line has started
            told = problem_of(error, "id")["detail"], openai_error_of(error, "id")["error"]["message"]
        assert set(told) == {error.worded("http")}


def test_a_budget_names_its_remedies_as_its_reader_gives_them() -> None:
    plan = make_plan(budget_bytes=1 << 30, resident_bytes=0, cost=CostModel(0, 1, 0.0), longest_s=30.0)
    error = BudgetError(f"give {plan.suggest_budget(1 << 20)}.")
    assert re.fullmatch(r"give memory='\d+MiB'\.", str(error))
    assert re.fullmatch(r"give --memory \d+MiB\.", error.worded("command"))
    assert re.fullmatch(r"give memory=\d+MiB\.", error.worded("http"))


def test_the_page_names_its_own_fields() -> None:
    with pytest.raises(UsageError) as caught:
        Options(hop=9.0)
    said = explained(caught.value, "a.wav", LIMITS, "en")
    assert "--" not in said
    assert "hop=" not in said
    assert said.count("“") == 2


def test_the_command_line_says_flags(capsys: pytest.CaptureFixture[str]) -> None:
    from overtone.cli.app import run

    assert run(["emotion", "a.wav", "--max-segment", "9999"]) == 2
    said = capsys.readouterr()
    assert "--max-segment is 9999" in " ".join((said.out + said.err).split())


# No bare flag

PACKAGE = ROOT / "src" / "overtone"

FLAG = re.compile(r"(?<![\w-])--[a-z]")

COMMAND = re.compile(r"`overtone [^`]*`")
"""What is to be typed at a command line, whoever reads it."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string, pieces of one f-string together; docstrings and lines of `--help` left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option":
            skipped.update(ast.walk(node))
        elif isinstance(node, ast.JoinedStr) and node not in skipped:
            skipped.update(piece for piece in node.values if isinstance(piece, ast.Constant))
            pieces = (str(piece.value) if isinstance(piece, ast.Constant) else "…" for piece in node.values)
            yield node.lineno, "".join(pieces)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value


def test_no_text_outside_the_command_line_has_a_flag() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {text!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "cli")
        for line, text in texts(path)
        if FLAG.search(COMMAND.sub("", text))
    ]
    assert not found, "write overtone.wording.param(...) for the option:\n" + "\n".join(found)


def test_a_flag_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        '"""--a docstring"""\n'
        'x = option(1, "with --segment window")\n'
        'raise UsageError("run `overtone plan --memory 1GiB`.")\n'
        'raise UsageError(f"{name} is long; give --memory {size}.")\n'
        'raise UsageError("leave out " "--hop")\n'
    )
    assert [line for line, text in texts(path) if FLAG.search(COMMAND.sub("", text))] == [4, 5]
