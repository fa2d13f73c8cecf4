"""Function calls in a child process, so that all it imports and allocates is gone when it is done.

Plain child processes, which import the same modules as this one: the calling program needs no
`if __name__ == "__main__"`.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import psutil

from overtone.errors import Code, ModelError, OutOfMemory, UsageError
from overtone.system.memory import format_size

_LOOK_S = 0.02
"""Seconds between two looks at what a child holds: memory is filled at some 1 GB/s, 20 MB from look to look."""

_PATH = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "


def command(code: str) -> list[str]:
    """The command line of a new interpreter that runs `code`, with the import path of this one.

    UsageError where this one does not say which program it is: in another program, say.
    """
    if not sys.executable:
        raise UsageError("other processes need an interpreter, and sys.executable names none; set it to one.")
    return [sys.executable, "-I", "-c", _PATH + code, json.dumps(sys.path)]


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Start a process in the block that Ctrl-C does not reach, not even while its interpreter starts. This thread takes
    a Ctrl-C after the block."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def result_stream() -> BinaryIO:
    """This process's standard output, for answers alone: libraries print to standard error from now on."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


def run(function: Callable[..., None], *arguments: Any, allowed_bytes: Callable[[], int] | None = None) -> None:
    """Call a function of a module in a child process, wait for it, and raise its errors.

    allowed_bytes: the most that the process may hold, asked for again and again; None is no limit.

    Raises ModelError if the process dies, and OutOfMemory if it was ended because it held more. It outlives neither the
    call nor this process.
    """
    code, pipe = f"from {__name__} import main; main()", subprocess.PIPE
    # Else importing parts of PyTorch forks workers, which outlive a process that is killed.
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with without_interrupts():
        started = subprocess.Popen(command(code), stdin=pipe, stdout=pipe, env=environment)
    with (
        started as child,
        _MemoryWatch(child, allowed_bytes) as watch,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            # Kept open: its end is how the child sees that this process is gone.
            pickle.dump((function, arguments), child.stdin)
            child.stdin.flush()
            error = pickle.load(child.stdout)
        except (EOFError, BrokenPipeError):
            status = child.wait()
            error = watch.refusal or ModelError(f"a process of its own ended with {status}", code=Code.PROCESS_DIED)
        except BaseException:
            child.kill()
            raise
    if error is not None:
        raise error


class _MemoryWatch:
    """Ends a child process that holds more than it may; `refusal` is set if it did."""

    def __init__(self, child: subprocess.Popen[bytes], allowed_bytes: Callable[[], int] | None) -> None:
        self.refusal: OutOfMemory | None = None
        self._child, self._allowed_bytes = child, allowed_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="overtone-child-memory", daemon=True)

    def __enter__(self) -> _MemoryWatch:
        if self._allowed_bytes is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._allowed_bytes is not None:
            self._thread.join()

    def _watch(self) -> None:
        assert self._allowed_bytes is not None
        with suppress(psutil.NoSuchProcess):  # it has ended
            process = psutil.Process(self._child.pid)
            while not self._stop.wait(_LOOK_S):
                held, allowed = process.memory_info().rss, self._allowed_bytes()
                if held > allowed:
                    self.refusal = OutOfMemory(f"it held {format_size(held)}, and {format_size(allowed)} were left")
                    self._child.kill()
                    return


def main() -> None:
    """Run one call in the child, and report its error."""
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
    """An error as the other process can raise it; some cannot be pickled, and become a ModelError with their text."""
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - whatever a class of errors makes of it
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return pickled
