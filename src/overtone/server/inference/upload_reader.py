"""Uploads as the decoder reads them, and the contexts of their requests."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overtone.errors import Code, RefusedError
from overtone.pipelines.channel import OnOutput
from overtone.pipelines.request import RequestContext
from overtone.server.inference.models import AnyPipeline
from overtone.types import ModelOutput, Segment

LEAST_RATE = 4000
"""Bytes of a second of audio where a file does not say how long it is: speech at 32 kbit/s. More is known soon."""

_STEP_S = 5.0
"""Seconds of audio after which a caller whose file has more than it claimed says so."""


class CancellableFile(io.FileIO):
    """A file that cannot be read on once its request is cancelled, so no decoder goes on with it.

    name: what errors and results call it.
    """

    def __init__(self, path: Path, name: str, ctx: RequestContext) -> None:
        super().__init__(path, "rb")
        self.name = name
        self._caller = ctx

    def read(self, size: int | None = -1) -> bytes:
        """As any file. InterruptedError once its request is cancelled."""
        if self._caller.cancelled:
            raise InterruptedError("nobody waits for it any more")
        return super().read(-1 if size is None else size) or b""


class LimitedContext(RequestContext):
    """A context that allows so many seconds of audio, and calls back when there are more than were claimed.

    on_excess: called with the seconds decoded so far, in the decoder's thread, every few seconds beyond `claimed_s`.
    on_output: follows the models, as `RequestContext.on_output`. tenant: whose request it is.
    """

    def __init__(
        self,
        most_s: float,
        claimed_s: float,
        on_excess: Callable[[float], None],
        on_output: OnOutput | None = None,
        tenant: str | None = None,
    ) -> None:
        super().__init__(tenant)
        self.expected_s = claimed_s
        self._most_s, self._on_excess, self._listener = most_s, on_excess, on_output
        self._next_s = claimed_s + _STEP_S

    def on_progress(self, seconds: float) -> None:
        """RefusedError (too_long) beyond the most that is taken."""
        check_length(seconds, self._most_s)
        if seconds >= self._next_s:
            self._next_s = seconds + _STEP_S
            self._on_excess(seconds)

    def on_output(self, segment: Segment, output: ModelOutput | None) -> None:
        """Hand it on to whoever follows this request."""
        if self._listener is not None:
            self._listener(segment, output)


def check_length(seconds: float, most_s: float) -> None:
    """RefusedError (too_long) for more audio than is taken."""
    if seconds > most_s:
        raise RefusedError(
            f"it has (or claims) {seconds:.0f} s of audio or more, and {most_s:g} s are the most that is taken here; "
            "cut it, or send it as a job if it is no longer than those may be.",
            code=Code.TOO_LONG,
        )


@dataclass(frozen=True, slots=True)
class DeclaredAudio:
    """Claims of a file's header: seconds of audio, guessed from its size where it does not say, and channels."""

    seconds: float
    channels: int


def claimed(
    pipeline: AnyPipeline, path: Path, name: str, size_bytes: int, audio_track: int | None = None
) -> DeclaredAudio:
    """Read a file's header, where the pipeline decodes. InputError where it is no audio."""
    said = pipeline.probe(path, name, audio_track=audio_track)
    return DeclaredAudio(size_bytes / LEAST_RATE if said.claimed_s is None else said.claimed_s, said.channels)
