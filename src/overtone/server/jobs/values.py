"""Values of a job, as they travel between the store, the runner and the routes. Times are unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["queued", "running", "done", "failed", "cancelled"]
"""State of a job, and of each of its files.

queued: nothing of it runs. running: begun. done: there is a result; of a job, for at least one file. failed: there is
only a record that says why; of a job, for every file. cancelled: it is not wanted any more, and nothing is kept of it.
"""

Owner = str | None
"""The name of the API key that a job came with; None where the service asks for none."""


CERTAIN = 3
"""Added to a file's `attempts` where the process, or the model, is known to have ended over a fault while it ran; 1
where it was killed, which may have been for any reason."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that has been uploaded. `name`: what the client calls it. `path`: where the upload put it, not linked to.

    `digest`: of its content, as text. `claimed_s`: the seconds of audio that its header claims, None if it claims none.
    """

    name: str
    path: Path
    digest: str
    claimed_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file of a job. `number`: its place, from 0. `starts`: how often it was begun. `attempts`: how much speaks
    for its being what ended the process or the model, since anything of it last came out; see `CERTAIN`.

    `embeddings`: how many `.npz` files its result has beside its record. `retryable`: it failed and its audio is kept,
    so that it can be run again. The other fields as in `NewFile`.
    """

    number: int
    name: str
    digest: str
    size_bytes: int
    claimed_s: float | None
    state: State
    attempts: int
    embeddings: int
    starts: int
    retryable: bool

    @property
    def suspect(self) -> bool:
        """True for a file that is run alone, so that nothing else is taken for what ended the process."""
        return self.attempts > 0


@dataclass(frozen=True, slots=True)
class Job:
    """A job without its files, of which there may be thousands. `files`: how many are in each state, all states named.

    `expires_s`: when it is removed; None while it is not finished, as its time begins when it is. By the date that the
    machine has now, which may be wrong: what counts is the `ServiceClock`.
    """

    id: str
    owner: Owner
    options: Mapping[str, Any]
    state: State
    made_s: float
    changed_s: float
    expires_s: float | None
    files: Mapping[str, int]

    @property
    def open(self) -> bool:
        """True while there is work left."""
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Name that a client gives to a request, so that sending it again is no second job. Of one owner.

    `digest`: of the request's parameters and files, as text.
    """

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class JobLease:
    """A file whose turn it is. `path`: its audio. `answers`: path of its `SegmentCheckpoint`, gone with the audio."""

    job: str
    owner: Owner
    options: Mapping[str, Any]
    file: JobFile
    path: Path
    answers: Path


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """Work that is not finished, running or not. `claimed_s`: of the files that claim a length; `unclaimed`: how many
    do not."""

    files: int
    claimed_s: float
    unclaimed: int
    size_bytes: int
