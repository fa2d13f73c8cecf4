"""Work in a process of its own, so that what it imports and allocates is gone when it is done.

Plain child processes, which import what this one would: the calling program needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from overtone.errors import ModelError

DIED = "process_died"
"""Code of the error of a process that ended without an answer: killed, for want of memory say."""

_PATH = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "


def command(code: str) -> list[str]:
    """The command line of a new interpreter that runs `code`, with the import path of this one."""
    return [sys.executable, "-I", "-c", _PATH + code, json.dumps(sys.path)]


def result_stream() -> BinaryIO:
    """This process's standard output, for answers alone: what libraries print goes to standard error from now on."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


def run(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of a module in a process of its own, and wait for it. Raises what it raises.

    Raises ModelError if the process dies. It outlives neither the call nor this process.
    """
    code, pipe = f"from {__name__} import main; main()", subprocess.PIPE
    # Else importing parts of PyTorch forks workers, which outlive a process that is killed.
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with subprocess.Popen(command(code), stdin=pipe, stdout=pipe, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            # Kept open: its end is how the child sees that this process is gone.
            pickle.dump((function, arguments), child.stdin)
            child.stdin.flush()
            error = pickle.load(child.stdout)
        except (EOFError, BrokenPipeError):
            error = ModelError(f"a process of its own ended with {child.wait()}", code=DIED)
        except BaseException:
            child.kill()
            raise
    if error is not None:
        raise error


def main() -> None:
    """The child: one call, and what it raised."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to answer, which then ends this one
    with result_stream() as out:
        function, arguments = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with_the_caller, daemon=True).start()
        try:
            function(*arguments)
            said = pickle.dumps(None)
        except Exception as error:  # noqa: BLE001 - it belongs to the one who called
            said = _portable(error)
        out.write(said)


def _end_with_the_caller() -> None:
    os.read(sys.stdin.fileno(), 1)  # waits until there is nobody who could write
    os._exit(1)


def _portable(error: Exception) -> bytes:
    """An error as the other process can raise it; some cannot travel, and are told."""
    try:
        told = pickle.dumps(error)
        pickle.loads(told)
    except Exception:  # noqa: BLE001 - whatever a class of errors makes of it
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return told
