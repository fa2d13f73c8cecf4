"""The environment that the peers are measured in, made from the package registry alone. Standard library only."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "bench" / "peers-requirements.txt"

WITHOUT_DEPENDENCIES = ("funasr-onnx==0.4.3",)
"""It asks for a NumPy below 2, which the others are not tested with, and runs with a newer one."""

DONE = ".overtone-peers"
"""A file in the environment that says what was installed, written last."""


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def wanted() -> str:
    """All that the content of the environment is decided by."""
    texts = [path.read_text(encoding="utf-8") for path in (REQUIREMENTS, ROOT / "constraints.txt")]
    return "\n".join([*texts, *WITHOUT_DEPENDENCIES])


def make(folder: Path) -> Path:
    """Make an environment in `folder`, or take the one that is there, and return its interpreter.

    subprocess.CalledProcessError if something cannot be installed.
    """
    python, done = python_of(folder), folder / DONE
    if done.is_file() and done.read_text(encoding="utf-8") == wanted():
        return python
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraint = ["--constraint", str(ROOT / "constraints.txt")]
    here = f"{ROOT}[torch,int8]"
    subprocess.run([*install, *constraint, "--requirement", str(REQUIREMENTS), "--editable", here], check=True)
    subprocess.run([*install, "--no-deps", *WITHOUT_DEPENDENCIES], check=True)
    done.write_text(wanted(), encoding="utf-8")
    return python


def run_in(folder: Path, arguments: list[str]) -> None:
    """Go on in that environment, with this program and these arguments; this process is replaced."""
    python = make(folder.resolve())
    command = [str(python), sys.argv[0], *arguments]
    if os.name == "nt":
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(str(python), command)
