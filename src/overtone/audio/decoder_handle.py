"""A process that decodes, as this process sees it: started, asked, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import asdict

from overtone.audio.decoder_channel import Channel
from overtone.audio.decoder_limits import DecoderLimits
from overtone.errors import Code, InputError, ModelError
from overtone.system import subprocess_call

_START = "import sys; from overtone.audio.decoder_process import main; main(int(sys.argv[2]), sys.argv[3])"

_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For one thread: more of them, and heaps for each, would take address space that is for files."""


class DecoderHandle:
    """A process that decodes one source at a time, and this end of its channel.

    ModelError where the system starts none, UsageError where there is no interpreter to start.
    """

    def __init__(self, limits: DecoderLimits) -> None:
        here, there = socket.socketpair()
        with there, ExitStack() as undo:
            undo.callback(here.close)
            try:
                with subprocess_call.without_interrupts():
                    self._process = subprocess.Popen(
                        [*subprocess_call.command(_START), str(there.fileno()), json.dumps(asdict(limits))],
                        stdin=subprocess.DEVNULL,
                        pass_fds=[there.fileno()],
                        env={**_without_secrets(), **_ENVIRONMENT},
                    )
            except OSError as error:
                raise ModelError(
                    f"a process that decodes could not be started ({error}); allow more processes (ulimit -u), or free "
                    "memory."
                ) from error
            undo.pop_all()
        self.channel = Channel(here)
        self._ready = False
        self._killed = False

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def dead(self) -> bool:
        """True once it has ended."""
        return self._process.poll() is not None

    @property
    def served(self) -> bool:
        """True once it was given a source: it had started well."""
        return self._ready

    def begin(
        self,
        name: str,
        file: int | None,
        head: bytes = b"",
        audio_track: int | None = None,
        *,
        header_only: bool = False,
    ) -> None:
        """Give it a source, called `name`, and wait until it has begun.

        file: descriptor that the source is read from; None where it asks for what it reads. head: what was read from
        the descriptor before. header_only: it is done
        with the source once it has said what the header says. ChannelError if it had ended before, which is no fault
        of the source.
        """
        self._await_start()
        about = {"name": name, "audio_track": audio_track, "header_only": header_only}
        self.channel.send("source", file=file, data=head, **about)
        self.channel.receive()

    def begin_packets(self, longest_wait_s: float) -> None:
        """Let it decode packets of streams from now on, until its end. ChannelError if it has ended.

        longest_wait_s: seconds after which a message that it does not take or give is a ChannelError, too.
        """
        self.channel.set_timeout(longest_wait_s)
        self._await_start()
        self.channel.send("packets")
        self.channel.receive()

    def _await_start(self) -> None:
        if not self._ready:
            self.channel.receive()
            self._ready = True

    def kill(self) -> None:
        """End it now, from any thread: reading from it breaks off."""
        self._killed = True
        if not self.dead:
            self._process.kill()

    def death(self, name: str, remedy: str = "convert it to WAV or FLAC with other software") -> InputError:
        """The error of the source, called `name`, in which it ended."""
        self.end()
        code = self._process.returncode
        if code == -signal.SIGXCPU:
            text = (
                f"{name}: it takes more processor time to decode than its audio is worth; it may be damaged, or made "
                f"to do harm: {remedy}"
            )
            return InputError(text, code=Code.DECODER_TIME)
        ended = "was ended" if self._killed else f"died (exit {code})"
        text = f"{name}: the process that decoded it {ended}; {remedy}"
        return InputError(text, code=Code.DECODER_DIED)

    def end(self) -> None:
        """End it, and wait until it has."""
        if not self.dead:
            self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self.channel.close()


def _without_secrets() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("OVERTONE_")}
