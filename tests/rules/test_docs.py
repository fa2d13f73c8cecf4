"""The pages are true: the command line's is made from its help, examples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import overtone
from helpers.command import environment
from helpers.docs import Block, Table, blocks, code, commands, same, section, tables, without_code
from helpers.paths import DOCS, ROOT
from helpers.results import frames, result
from overtone.cli.app import app
from overtone.cli.lazy_group import COMMANDS
from overtone.models.hub import ALIASES, BUNDLED
from overtone.options.emotion import HELP, Options
from overtone.output.records import json_chunks
from overtone.results import Timings
from overtone.wording import flag

README = ROOT / "README.md"
RUN = [README, DOCS / "index.md", DOCS / "python.md"]
"""Pages whose examples are run."""
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *(ROOT / name / "README.md" for name in ("examples", "training")),
    *sorted((ROOT / "docs").glob("*.md")),
]

# Docs


@pytest.mark.parametrize("script", ["make_cli.py", "make_codes.py"])
def test_pages_that_are_made_from_the_code_are_current(script: str):
    made = subprocess.run(
        [sys.executable, DOCS / script, "--check"],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
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
    if not isinstance(value, dict) or above.endswith(("scores", "shares")):
        return
    for name, below in value.items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _fields(below, path)


# Figures


RESULTS = ROOT / "bench" / "results"


def measured(*names: str) -> list[Table]:
    """The tables of results, of all benchmarks or of those."""
    return [
        table
        for path in sorted(RESULTS.glob("*.md"))
        if not names or path.stem in names
        for table in tables(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("name", ["vs_funasr", "memory", "resampling"])
def test_whole_tables_of_figures_are_those_that_were_measured(name: str):
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    lines = (RESULTS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), lines))  # the first table
    assert len(rows) > 3
    assert "\n".join(rows) in page, f"the table of bench/results/{name}.md is not the one in docs/performance.md"


@pytest.mark.parametrize("page", [README, DOCS / "models.md"], ids=lambda page: page.name)
def test_figures_in_the_readme_are_those_that_were_measured(page: Path):
    """Each row is one of a table of results, of which columns may be left out; under it is where that was measured."""
    names = ("vs_funasr", "transcribe")
    text = page.read_text(encoding="utf-8")
    (shown,) = [table for table in tables(text) if table.head[0] == "work"]
    assert len(shown.rows) >= 3
    known = [table.columns(shown.head) for table in measured(*names) if {*shown.head} <= {*table.head}]
    for row in shown.rows:
        assert any(tuple(row) in rows for rows in known), f"{page.name}: not measured: {row}"
    (under,) = re.findall(r"^AMD .*$", text, re.MULTILINE)
    for name in names:
        (where,) = re.findall(r"^(.* \d{4}-\d\d-)(\d\d)\. `", (RESULTS / f"{name}.md").read_text("utf-8"), re.MULTILINE)
        assert under.startswith(where[0]), f"{page.name}: {name} was measured on {where[0]}"
        assert re.search(rf"\b{where[1]}\b", under.removeprefix(where[0])), f"{page.name}: not the day of {name}"


def test_every_table_of_figures_has_rows_that_were_measured():
    """On any page, a table with the head of one of the results has rows of it only."""
    heads = {tuple(table.head): table for table in measured()}
    found = 0
    for page in sorted(DOCS.glob("*.md")):
        for table in tables(page.read_text(encoding="utf-8")):
            if whole := heads.get(tuple(table.head)):
                found += 1
                known = set().union(*(one.columns(one.head) for one in measured() if one.head == whole.head))
                assert {tuple(row) for row in table.rows} <= known, f"{page.name}: {table.head}"
    assert found >= 10


def test_the_picture_shows_what_is_answered(tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="Pillow, which reads the picture, is not installed")
    picture = DOCS / "assets" / "timeline.png"
    assert picture.stat().st_size < 100_000
    with image.open(picture) as opened:
        shown, verdict = (json.loads(opened.text[name]) for name in ("Timeline", "Verdict"))
    with overtone.EmotionRecognizer("tiny") as recognizer:
        answer = recognizer(ROOT / "examples" / "call.mp3")
    assert shown == [[round(s.span.start_s, 3), round(s.span.stop_s, 3), s.label] for s in answer.segments]
    shares = {label: f"{share:.0%}" for label, share in answer.shares.items()}
    assert verdict == [answer.label, f"{answer.score:.2f}", shares]


# What is said of what there is


def contradictions(text: str) -> list[str]:
    """What a list of what Overtone does not do says of something that a command does."""
    stems = "|".join(name.removesuffix("e") for name in COMMANDS if name not in {"models", "keys"})
    chinese = "转写|识别文字|情感识别|做成服务|提供服务"
    found = re.findall(rf"(?i)\b(?:not|no|never|cannot)\b[^.;:]*?\b(?:{stems})\w*", text)
    return [*found, *re.findall(rf"(?:不|没有|无法|未)[^。;:,]{{0,6}}(?:{chinese})", text)]


def test_what_it_does_not_do_is_nothing_that_it_does():
    for page, heading in ((README, "What it does not do"), (ROOT / "README.zh-CN.md", "它不做什么")):
        said = section(page.read_text(encoding="utf-8"), heading)
        assert said.count("\n- ") >= 3
        assert contradictions(said) == [], page.name
        for name in re.findall(r"`overtone ([a-z]+)", said):
            assert name in COMMANDS


@pytest.mark.parametrize(
    "said",
    ["- It does not transcribe yet.", "- There is no plan of a run.", "- Words cannot be served.", "- 暂不支持转写。"],
)
def test_the_check_of_that_notices(said: str):
    assert contradictions(said)


NEEDED = {
    r"models pull|models convert|\btranscribe\b|--model plus": "torch|ui",
    r"--precision int8": "int8",
    r"--hub ms": "modelscope",
    r"overtone serve|overtone top": "server|ui",
}
"""What is typed, and the extra that it takes: one of those."""


def without_extra(text: str) -> list[str]:
    """Lines of a block of commands that take an extra which no line above them installs; a block that installs nothing
    stands for itself."""
    lines, installed, found = text.splitlines(), "", []
    if "pip install" not in text:
        return []
    for line in lines:
        installed += " ".join(re.findall(r"\[([\w,]+)\]", line.partition("#")[0])) if "pip install" in line else ""
        for typed, extras in NEEDED.items():
            if re.search(typed, line.partition("#")[0]) and not re.search(extras, installed):
                found.append(line)
    return found


def test_what_takes_an_extra_is_shown_after_its_installation():
    seen = 0
    for page in (README, *sorted(DOCS.glob("*.md"))):
        for block in code(page.read_text(encoding="utf-8")):
            assert without_extra(block) == [], page.name
            pulls = re.search(r"models (pull|convert)", block)
            seen += bool(pulls)
            assert not pulls or "pip install" in block or page.name == "cli.md", f"{page.name}:\n{block}"
    assert seen >= 4
    assert without_extra("pip install overtone\novertone models pull plus-large\n")


def test_the_page_of_models_names_every_model():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    told = {row[0].strip("`"): row for table in tables(page) if table.head[0] == "name" for row in table.rows}
    assert {*told} == {BUNDLED, *ALIASES}
    for name, ids in ALIASES.items():
        assert told[name][-1] == f"`{ids['hf']}`, `{ids['ms']}`"


def test_numbers_of_emotion_models_are_those_of_their_networks():
    torch = pytest.importorskip("torch", reason="PyTorch, which counts them, is not installed")
    from overtone.models.emotion2vec import random_checkpoint
    from overtone.models.emotion2vec.config import Architecture
    from overtone.models.emotion2vec.network import Emotion2vec

    page = (DOCS / "models.md").read_text(encoding="utf-8")
    told = {row[0].strip("`"): row[3] for table in tables(page) if table.head[0] == "name" for row in table.rows}
    for name, shape in (("base", random_checkpoint.BASE), ("plus-large", random_checkpoint.LARGE)):
        with torch.device("meta"):
            network = Emotion2vec(Architecture.from_config(random_checkpoint.config(shape), name))
        assert told[name] == f"{sum(one.numel() for one in network.state_dict().values()) / 1e6:.0f} million"


def test_the_reference_of_python_names_every_public_name():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: overtone\.(\w+)$", page, re.MULTILINE)) == sorted(
        {*overtone.__all__} - {"__version__"}
    )


def test_methods_that_pages_name_are_there():
    named = {
        found
        for page in (README, *DOCS.glob("*.md"))
        for found in re.findall(r"\b(EmotionRecognizer|Transcriber)\.(\w+)", page.read_text(encoding="utf-8"))
    }
    assert len(named) >= 3
    assert [name for name in named if not hasattr(getattr(overtone, name[0]), name[1])] == []


def test_the_changelog_has_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    dated = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", release) for release in releases[1:]]
    assert all(dated), releases
    assert dated[0] is not None
    assert dated[0][1] == overtone.__version__
    assert {*re.findall(r"^### (.*)$", text, re.MULTILINE)} <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def test_the_readme_is_read_in_a_minute():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 100


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
# "no-run" after the language leaves a block out. Commands that are not `overtone` are not run. What two pages show
# alike is run once, and held against both: each page begins in the same folder.


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


@dataclasses.dataclass
class Known:
    """What was run on pages before, and what it showed: of blocks of Python, and of commands."""

    printed: dict[tuple[str, ...], list[str]] = dataclasses.field(default_factory=dict)
    shown: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_examples_of_the_readme(playground: Path, known: Known, page: Path):
    assert page.is_file(), f"{page.name} is not written yet"
    shown = blocks(page)
    if page.stem == "python":
        pytest.importorskip("pandas", reason="pandas, which its examples use, is not installed")
        pytest.importorskip("matplotlib", reason="matplotlib, which its examples use, is not installed")
    for language in ("python",) if page.stem == "python" else ("python", "console"):
        assert any(block.runs and block.language == language for block in shown), f"no ```{language} block runs"
    python = [(block, after) for block, after in itertools.zip_longest(shown, shown[1:]) if block.runs]
    python = [(block, after) for block, after in python if block.language == "python"]
    texts = tuple(block.text for block, _ in python)
    if texts not in known.printed:
        known.printed[texts] = _printed([block for block, _ in python])
    printed = known.printed[texts]
    for (_, after), found in zip(python, printed, strict=True):
        if after is not None and after.language == "text" and "no-run" not in after.options:
            assert same(after.text, found), f"{page.name}, line {after.line}: printed was\n{found}"
    for block in shown:
        if block.runs and block.language == "console":
            _check_console(block, page, known)


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
        encoding="utf-8",
        check=False,
    )
    assert child.returncode == 0, child.stderr
    printed: list[str] = json.loads(child.stdout)
    return printed


ONE_TRIAL = " --precision fp32 --threads 1"
"""Of all that `overtone tune` would try in its minute: that it goes on well is for its own tests to show."""


def _check_console(block: Block, page: Path, known: Known) -> None:
    for command, expected in commands(block.text):
        if not command.startswith("overtone "):
            continue
        typed = " ".join(command.split())
        if typed not in known.shown:
            # One page in a terminal, as a reader has it; where only the exit code counts, others need none.
            run = _in_terminal if page == README or expected.strip() else _here
            known.shown[typed] = run(command + ONE_TRIAL * typed.startswith("overtone tune "))
        code, found = known.shown[typed]
        where = f"{page.name}, line {block.line}: `{command}`"
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


def _here(command: str) -> tuple[int, str]:
    """Exit code, and what a command prints, run in this process, which has imported what it takes."""
    ran = CliRunner(env={"OVERTONE_THREADS": "1", "OVERTONE_DECODE": "threads"}).invoke(app, shlex.split(command)[1:])
    return ran.exit_code, ran.output


def test_the_examples_check_notices(tmp_path):
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
    for where in (page, README):  # in this process, and in a terminal
        with pytest.raises(AssertionError, match="ended with 2"):
            _check_console(Block(1, "console", "", "$ overtone nonsense\n"), where, Known())
