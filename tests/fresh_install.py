"""Overtone as a stranger installs it: the wheel in an empty environment, tried there.

    python tests/fresh_install.py latest     # the newest of everything, on the newest Python there is
    python tests/fresh_install.py oldest     # the lowest versions that pyproject.toml promises, on the lowest Python

The sdist is built from this checkout, and the wheel from the sdist. Then `overtone doctor`, the first command of the
README and the quick tests of the package run on what was installed. PyTorch is not: its wheels depend on the machine,
and the core goes without; tests that need it are skipped. Takes uv, for the lowest versions.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOWEST = (3, 10)
"""Python that the package is for, and up."""

TRIED = {"latest": "highest", "oldest": "lowest-direct"}
"""How uv resolves."""

EXTRAS = ("plot", "parquet", "punctuation", "server", "ui")
BESIDE = ("hypothesis", "httpx", "pytest", "pytest-xdist", "scipy", "soundfile")
"""Of the extra `dev`, what quick tests import."""

QUICK = (
    *("-q", "-m", "not slow", "--numprocesses", "2", "--dist", "loadfile", "-p", "no:cacheprovider"),
    *("-r", "fE", "--durations", "5"),
    "--hypothesis-seed=0",  # what differs from run to run is to be the versions
)

CALLING = (
    *("audio", "backends", "e2e", "models", "output", "pipelines", "segmentation", "system"),
    *("rules/test_doctests.py", "test_wording.py"),
    *(f"cli/test_{name}.py" for name in ("app", "batch_run", "completion", "console", "doctor", "info", "lazy_group")),
    *(f"server/{name}" for name in ("cache", "middleware", "observability", "uploads", "test_auth.py")),
    *(f"server/api/test_{name}.py" for name in ("http", "idempotency", "jobs", "openai", "stream")),
    *(f"server/ui/test_{name}.py" for name in ("mounting", "page", "page_streams")),
)
"""Below tests/: of the code that calls on dependencies, whose releases may change what it does.

Left out is what judges this checkout, or policy, or the service's own waits, jobs and processes.
"""


def main() -> None:
    """Build, install, try. Ends with the command that fails, if one does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", choices=TRIED)
    versions = parser.parse_args().versions
    with tempfile.TemporaryDirectory(prefix="overtone-fresh-") as folder:
        try_out(versions, Path(folder))


def try_out(versions: str, folder: Path) -> None:
    """In a folder: `dist`, and the environment `venv`."""
    uv, own = (sys.executable, "-m", "uv"), folder / "venv" / "bin"
    found = pythons()
    if versions == "oldest" and min(found)[:2] != LOWEST:
        sys.exit(f"the lowest versions are for Python {LOWEST[0]}.{LOWEST[1]}, which is not here; install it")
    python = found[max(found) if versions == "latest" else min(found)]
    run(*uv, "build", "--quiet", "--out-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(*uv, "venv", "--quiet", "--python", python, folder / "venv")
    # Of a wheel uv would take the lowest version, and not of what it depends on.
    resolve = ("pip", "compile", "--quiet", "--python", own / "python", "--resolution", TRIED[versions])
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    run(*uv, *resolve, *extras, "--output-file", folder / "versions.txt", ROOT / "pyproject.toml")
    install = ("pip", "install", "--quiet", "--python", own / "python", "--constraint", folder / "versions.txt")
    run(*uv, *install, f"{wheel}[{','.join(EXTRAS)}]", *beside())
    run(*uv, "pip", "list", "--quiet", "--python", own / "python")
    run(own / "overtone", "doctor", cwd=folder)
    run(own / "overtone", "emotion", ROOT / "examples" / "call.mp3", cwd=folder)
    # Releases of old warn of what has been deprecated since, in themselves.
    warned = () if versions == "latest" else ("-W", "ignore::DeprecationWarning")
    run(own / "pytest", *QUICK, *warned, *(Path("tests", name) for name in CALLING), cwd=ROOT)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command, which is printed. Ends this process where it fails."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(words, check=False, cwd=cwd, env=environment)
    if done.returncode:
        sys.exit(done.returncode)


def pythons() -> dict[tuple[int, int, int], str]:
    """The interpreters of this machine that the package is for, by version: on the path, and pyenv's."""
    names = [f"python3.{minor}" for minor in range(LOWEST[1], 30)]
    paths = [sys.executable, *filter(None, map(shutil.which, names))]
    paths += glob.glob(str(Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions" / "3.*/bin/python"))
    found = {}
    for path in paths:
        code = "import sys; print(*sys.version_info[:4], sys.base_prefix, sep='|')"
        said = subprocess.run([path, "-c", code], check=False, capture_output=True, encoding="utf-8").stdout.strip()
        if (version := re.fullmatch(r"(\d+)\|(\d+)\|(\d+)\|final\|(.*)", said)) and int(version[2]) >= LOWEST[1]:
            found[int(version[1]), int(version[2]), int(version[3])] = path
    return found


def beside() -> list[str]:
    """What tests need beside the package, with the lowest versions that its extra `dev` asks for."""
    asked = [one.partition(";")[0].strip() for one in requires("overtone") or () if "dev" in one.partition(";")[2]]
    chosen = [one for one in asked if re.split(r"[<>=\[ ]", one)[0] in BESIDE]
    assert len(chosen) == len(BESIDE), chosen
    return chosen


if __name__ == "__main__":
    main()
