"""The pages are true: the command line's is made from its help, examples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import overtone
from helpers.command import environment
from helpers.docs import Block, blocks, commands, same, without_code
from helpers.paths import ROOT
from helpers.results import frames, result
from overtone.cli.app import app
from overtone.options.check import flag
from overtone.options.emotion import HELP, Options
from overtone.output.records import json_chunks
from overtone.types import Timings

README = ROOT / "README.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name / "README.md" for name in ("examples", "training")),
    *sorted((ROOT / "docs").glob("*.md")),
]

# Docs


def test_the_page_of_the_command_line_is_current():
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_cli.py", "--check"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, f"{made.stderr}: run `make docs`"


def test_every_option_is_described():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in Options.__slots__:
        assert len(HELP[name]) > 10
        assert f"`{flag(name)}` |" in page
        assert HELP[name] in page
    assert set(HELP) == set(Options.__slots__)


def test_everything_that_can_be_typed_has_a_name_on_the_page():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\|([^|]*)\|[^|]*\|.*\|$", page, re.MULTILINE)
    nameless = [cell for cell in cells if not re.search(r"[\w-]", cell)]
    assert len(nameless) == page.count("\n| | takes | |\n")  # the heads of the tables
    for name in ("--repeats", "--limit", "--calibrate"):
        assert f"| `{name}` |" in page
    assert "    overtone bench [FILES]... [OPTIONS]\n" in page
    assert "    overtone emotion INPUTS... [OPTIONS]\n" in page


def test_the_package_says_of_itself_what_its_command_says():
    said = app.info.help
    assert f'\ndescription = "{said}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert said.partition(":")[0].lower() in overtone.__doc__


def test_the_page_of_results_names_every_field():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    with frames(3) as some:
        timings = Timings(notes=("batch halved",))
        whole = result(frames=some, id="a", channel=0, channels=2, warnings=("cut short",), timings=timings)
        record = json.loads("".join(json_chunks(whole, "frame")))
    documented = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", page, re.MULTILINE))
    assert documented == set(_fields(record)) | {"error.code", "error.message"}


def _fields(value: object, above: str = "") -> Iterator[str]:
    """Names of all fields of a record, `segments[].start` for those of a list's items; classes are no fields."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _fields(value[0], above + "[]")
    if not isinstance(value, dict) or above.endswith("scores"):
        return
    for name, below in value.items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _fields(below, path)


def test_figures_in_the_readme_are_those_that_were_measured():
    readme = README.read_text(encoding="utf-8")
    results = ROOT / "bench" / "results"
    for name in ("vs_funasr", "memory"):
        lines = (results / f"{name}.md").read_text(encoding="utf-8").splitlines()
        rows = list(itertools.takewhile(lambda line: line.startswith("|"), lines))  # the first table
        assert len(rows) > 3
        assert "\n".join(rows) in readme, f"the table of bench/results/{name}.md is not the one in README.md"


def test_files_that_the_page_of_the_architecture_names_are_there():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z][\w/*]*/|[\w/*]+\.py)`", page)
    assert len(named) > 30
    places = (ROOT / "src" / "overtone", ROOT / "src" / "overtone" / "server", ROOT)
    assert [name for name in named if not any([*place.glob(name)] for place in places)] == []


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    assert page.is_file(), f"{page.relative_to(ROOT)} is missing"
    text = without_code(page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(<?([^)>\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"", text):
        target = next(filter(None, link))
        if re.match(r"[a-z]+:", target):  # https:, mailto:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} leads to {target}, which is not there"
        if anchor and found.suffix == ".md":
            assert anchor in _anchors(found), f"{page.name} leads to {target}; there is no such heading"


def _anchors(page: Path) -> set[str]:
    """Anchors of headings as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


# Examples
#
# A block fenced as ```python is run, in order, in one namespace; what it prints is compared with the ```text block that
# follows it, if one does. A block fenced as ```console holds commands (`$ overtone …`) and, under each, what a terminal
# shows; without that, only the exit code counts. In both, `...` or `…` stands for any text, and blanks count as one.
# "no-run" after the language leaves a block out. Commands that are not `overtone` are not run.


@pytest.fixture
def playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example files, here and under examples/, as the current one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for path in (tmp_path / "examples").iterdir():
        if path.suffix in (".wav", ".mp3", ".flac"):
            shutil.copy(path, tmp_path)
    (tmp_path / "recordings").mkdir()
    for name in ("angry.wav", "sad.wav"):
        shutil.copy(ROOT / "examples" / name, tmp_path / "recordings")
    shutil.copy(ROOT / "examples" / "call.mp3", tmp_path / "call.wav")  # what is in a file counts, not its name
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_of_the_readme(playground: Path):
    assert README.is_file(), "README.md is not written yet"
    shown = blocks(README)
    for language in ("python", "console"):
        assert any(block.runs and block.language == language for block in shown), f"no ```{language} block runs"
    python = [(block, after) for block, after in itertools.zip_longest(shown, shown[1:]) if block.runs]
    python = [(block, after) for block, after in python if block.language == "python"]
    printed = _printed([block for block, _ in python])
    for (_, after), found in zip(python, printed, strict=True):
        if after is not None and after.language == "text" and "no-run" not in after.options:
            assert same(after.text, found), f"{README.name}, line {after.line}: printed was\n{found}"
    for block in shown:
        if block.runs and block.language == "console":
            _check_console(block)


_RUN_BLOCKS = """
import contextlib, io, json, sys
names, printed = {"__name__": "readme"}, []
for line, text in json.load(sys.stdin):
    shown = io.StringIO()
    # The line numbers of a traceback are those of the page.
    code = compile("\\n" * line + text, "README.md", "exec")
    with contextlib.redirect_stdout(shown):
        exec(code, names)
    printed.append(shown.getvalue())
json.dump(printed, sys.stdout)
"""


def _printed(blocks: list[Block]) -> list[str]:
    """What each block of Python prints, all run in one namespace, in a process of their own as a reader's would be."""
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUN_BLOCKS],
        input=json.dumps([(block.line, block.text) for block in blocks]),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    printed: list[str] = json.loads(child.stdout)
    return printed


def _check_console(block: Block) -> None:
    for command, expected in commands(block.text):
        if not command.startswith("overtone "):
            continue
        code, found = _in_terminal(command)
        where = f"{README.name}, line {block.line}: `{command}`"
        assert code == 0, f"{where} ended with {code}:\n{found}"
        if expected.strip():
            assert same(expected, found), f"{where} shows\n{found}"


def _in_terminal(command: str) -> tuple[int, str]:
    """Exit code, and what a terminal of 120 columns shows; without colours."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        ["sh", "-c", command.replace("overtone", '"$PYTHON" -m overtone', 1)],
        env=environment(PYTHON=sys.executable, COLUMNS="120", TERM="dumb", NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # what Linux says when the other end is closed
        while data := os.read(master, 65_536):
            seen += data
    os.close(master)
    _, err = child.communicate(timeout=120)
    shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).decode().replace("\r\n", "\n")
    return child.returncode, shown if child.returncode in (0, 1) else shown + err.decode()


def test_the_examples_check_notices(tmp_path, monkeypatch):
    """The checker itself: what it takes and what it refuses."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n```python no-run\n1/0\n```\n\n```python\nprint(1.25)\n```\n```text\n1.…\n```\n```\nplain\n```\n"
    )
    kinds = [(block.line, block.language, block.runs) for block in blocks(page)]
    assert kinds == [(2, "python", False), (6, "python", True), (9, "text", False), (12, "", False)]
    assert same("1.…\n", "1.25\n")
    assert not same("2.…\n", "1.25\n")
    assert list(commands("$ overtone doctor  # look\nok …\n$ ls\n")) == [("overtone doctor", "ok …\n"), ("ls", "")]
    code, shown = _in_terminal("overtone --version | cat")
    assert code == 0
    assert same("overtone …\n", shown)
    monkeypatch.setattr(sys.modules[__name__], "README", page)
    with pytest.raises(AssertionError, match="ended with 2"):
        _check_console(Block(1, "console", "", "$ overtone nonsense\n"))
