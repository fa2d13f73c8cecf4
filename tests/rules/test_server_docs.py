"""The pages of the service are true: their tables are those of the code, their commands answer as they say."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.command import environment
from helpers.docs import blocks, commands, same, without_code
from helpers.oracles import sense_voice
from helpers.paths import ROOT
from helpers.server.exposing import metrics_with_all
from helpers.server.serving_process import serving
from overtone.batching.fairness import BACKGROUND_SHARE
from overtone.options.emotion import PER_CALL
from overtone.options.transcription import TRANSCRIBE_PER_CALL
from overtone.server.api import openai_params, stream
from overtone.server.api.problems import _OPENAI_STATUSES, STATUSES
from overtone.server.app import create_app
from overtone.server.inference import live_audio, model_host
from overtone.server.jobs import values
from overtone.server.settings import Settings
from overtone.server.state import Server
from overtone.system.memory import parse_size
from overtone.wording import flag

PAGES = ROOT / "docs" / "server.md", ROOT / "docs" / "operations.md"
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
CLIENTS, DEPLOY = ROOT / "examples" / "client" / "README.md", ROOT / "deploy" / "README.md"


def part(heading: str) -> str:
    """What stands under a heading, with what is below it."""
    found = re.search(rf"^(#+) {heading}\n(.*?)(?=^#{{1,2}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The cells of all rows of tables, heads and rules left out."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [row for row in cells if row[0] and not row[0].startswith("---")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that was never opened."""
    folder = tmp_path_factory.mktemp("closed")
    made = Server(Settings(jobs=str(folder / "jobs"), uploads=str(folder / "uploads")), lambda: pytest.fail("started"))
    yield made
    made.store.close()
    made.spool.close()


def test_codes_and_statuses_are_those_of_the_table():
    told = {name: int(status) for name, status, _ in rows(part("Errors"))[1:]}
    assert told == {f"`{code}`": status for code, (status, _) in STATUSES.items()}


def test_every_route_is_named_and_no_other(server):
    app = create_app(server)
    paths: Mapping[str, Mapping[str, Any]] = app.openapi()["paths"]
    there = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    there |= {f"WS {route.path}" for route in stream.router.routes}
    there.add(f"GET {app.openapi_url}")
    first, _, _ = TEXT.partition("\n## ")
    assert {row[0].strip("`") for row in rows(first)} == there


def test_who_needs_a_key_is_told(server):
    """An operation that says it may answer 401 asks for one."""
    asked = {}
    for path, operations in create_app(server).openapi()["paths"].items():
        for method, operation in operations.items():
            asked[f"`{method.upper()} {path}`"] = "401" in operation["responses"]
    first, _, _ = TEXT.partition("\n## ")
    told = {name: needs == "yes" for name, _, needs in rows(first)}
    assert asked.items() <= told.items()
    assert told["`WS /v1/stream`"]
    assert not told["`GET /openapi.json`"]


def test_every_setting_is_named_with_its_default():
    told = {name: default for name, default, _ in rows(part("Running it"))[1:]}
    assert {name.partition(",")[0] for name in told} == {f"`{flag(f.name)}`" for f in dataclasses.fields(Settings)}
    for field in dataclasses.fields(Settings):
        (shown,) = [default for name, default in told.items() if name.startswith(f"`{flag(field.name)}`")]
        assert shown == _shown(field.default), field.name


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def test_no_setting_is_named_that_there_is_not():
    known = {flag(field.name) for field in dataclasses.fields(Settings)} | {"--no-page", "--memory"}
    of_others = {"--embeddings", "--file"}
    text = re.sub(r"^```console.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--hop"} <= known | of_others


def test_defaults_in_the_table_of_bounds_are_those_of_the_settings():
    usual, told = Settings(), {row[1]: row[2] for row in rows(part("Security"))}
    assert told["`--max-upload`"].startswith(f"{parse_size(usual.max_upload) >> 20} MiB")
    assert told["`--uploads-size`"] == f"{parse_size(usual.uploads_size) >> 30} GiB"
    assert told["`--max-files`"] == str(usual.max_files)
    lengths = f"{usual.max_audio_s:g} s, {usual.max_job_audio_s / 3600:g} h"
    assert told["`--max-audio-s`, `--max-job-audio-s`"].startswith(lengths)
    pace = f"{usual.upload_idle_s:g} s without a byte; {usual.upload_rate} bytes per second"
    assert told["`--upload-idle-s`, `--upload-rate`"].startswith(pace)
    assert usual.key_share == 0.5
    assert told["`--queue-audio-s`, `--key-share`"] == f"{usual.queue_audio_s:g} s, half of it"
    assert told["`--deadline-s`"] == f"{usual.deadline_s:g} s"
    assert told["`--jobs-audio-s`"] == f"{usual.jobs_audio_s / 3600:g} h"
    assert usual.jobs_kept_s == 86_400
    assert told["`--jobs-kept-s`"] == "a day"
    assert told["`--live-streams`, `--live-idle-s`"] == f"{usual.live_streams}, {usual.live_idle_s:g} s"


def test_every_option_of_a_request_is_named():
    told = " ".join(row[0] for row in rows(part("Answers at once")))
    assert set(re.findall(r"`(\w+)`", told)) == {*PER_CALL, "embeddings", "model"}


def test_every_option_of_a_transcription_is_named():
    options, openais = part("What is said").split("### For OpenAI's clients")
    told = " ".join(row[0] for row in rows(options))
    assert set(re.findall(r"`(\w+)`", told)) == {*TRANSCRIBE_PER_CALL, "detail", "model"}
    first, _, _ = openais.partition("`verbose_json` has")
    told = " ".join(row[0] for row in rows(first))
    assert set(re.findall(r"`([\w\[\]]+)`", told)) == {*openai_params.FIELDS, "file"}
    for word in (*openai_params.FORMS, *openai_params.LANGUAGES, *openai_params.NAMES):
        assert f"`{word}`" in openais


def test_what_openais_client_raises_is_told():
    raised = {row[0].strip("`"): row[1] for row in rows(part("What is said")) if "Error" in row[0]}
    statuses = {int(status) for told in raised.values() for status in told.split(", ")}
    ours = {_OPENAI_STATUSES.get(status, status) for status, _ in STATUSES.values()}
    assert ours - statuses == {405, 408, 409, 499}, "what their client never brings about"


def test_live_streams_are_as_they_are_told():
    text = part("Live streams")
    tables = rows(text)
    named = {name for row in tables for name in re.findall(r"`(\w+)`", row[0])}
    assert named == {*stream._OPTIONS, *stream._OWN, "type", "ready", "emotion", "summary", "error"}
    for form in live_audio.FORMATS:
        assert f"`{form}`:" in text
    codes = {int(row[0]) for row in tables if row[0].isdecimal()}
    assert {*stream._CODES.values(), 1000, 1008} <= codes


def test_states_are_those_that_there_are():
    assert [row[0].strip("`") for row in rows(part("Jobs"))[1:]] == list(get_args(values.State))
    for state in (*get_args(model_host.State), "draining"):
        assert f"`{state}`" in part("What it says of itself")


def test_the_share_of_jobs_is_that_of_the_policy():
    assert f"jobs get {100 * BACKGROUND_SHARE:g} % of the audio" in " ".join(part("Who is let in").split())


def test_metrics_that_are_named_exist():
    families = text_string_to_metric_families(metrics_with_all().exposition()[0].decode())
    known = {sample.name for family in families for sample in family.samples}
    named = set(re.findall(r"`(overtone_\w+)`", TEXT))
    assert named
    assert named <= known


@pytest.mark.parametrize("page", [*PAGES, CLIENTS, DEPLOY], ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_of_the_pages_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.slow
def test_commands_of_the_pages_answer_as_they_say(tmp_path: Path):
    """All of them in one shell, in the order of the pages, in a folder that has the examples."""
    for program in ("bash", "curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    here = tmp_path / "here"
    shutil.copytree(ROOT / "examples", here / "examples")
    shutil.copy(ROOT / "README.md", here)
    shown = [block for page in PAGES for block in blocks(page) if block.language == "console"]
    asked = [command for block in shown for command in commands(block.text)]
    assert len(asked) > 15
    recognizer = sense_voice.publish(tmp_path / "recognizer")
    with serving(tmp_path / "service", "--transcriber", recognizer) as service:
        mark = "-- the next command --"
        script = "\n".join(f"{command}\nprintf '\\n{mark}\\n'" for command, _ in asked)
        ran = subprocess.run(
            ["bash", "-s"],
            input=script.replace("http://127.0.0.1:8765", service.url).replace(
                "client.py ", f"client.py --url {service.url} "
            ),
            cwd=here,
            env=environment(PATH=f"{_programs(tmp_path)}{os.pathsep}{os.environ['PATH']}", NO_COLOR="1", COLUMNS="120"),
            capture_output=True,
            encoding="utf-8",
            timeout=240,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    for (command, expected), found in zip(asked, ran.stdout.split(f"\n{mark}\n"), strict=False):
        # Lines of the page are short, and those of the service are not: blanks do not count.
        shown = ["".join(text.split()) for text in (expected, found)]
        assert same(*shown), f"`{command}` shows\n{found}\n{ran.stderr}"


def _programs(folder: Path) -> Path:
    """A folder with `overtone` and `python` as this test has them."""
    programs = folder / "bin"
    programs.mkdir()
    for name, call in (("overtone", "-m overtone"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        (programs / name).chmod(0o755)
    return programs
