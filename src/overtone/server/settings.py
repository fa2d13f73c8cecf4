"""What there is to set of the service, beside the model's options: flags of `overtone serve`, or `OVERTONE_SERVE_…`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from overtone.errors import UsageError
from overtone.options.check import check_types, flag
from overtone.system.memory import parse_size

Log = Literal["auto", "json", "text"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits, places and doors of the service; `HELP` says what each is. Frozen, and checked when made.

    Seconds named `_audio_s` are of audio, others of the clock. Sizes are as people write them. UsageError for a value
    that cannot be.
    """

    transcriber: str | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    keys: str | None = None
    allow_anyone: bool = False
    cors: str = ""
    max_upload: str = "256MiB"
    max_files: int = 1000
    max_audio_s: float = 900.0
    max_job_audio_s: float = 36_000.0
    uploads: str | None = None
    uploads_size: str = "4GiB"
    upload_idle_s: float = 15.0
    upload_rate: int = 4096
    deadline_s: float = 120.0
    queue_audio_s: float = 1800.0
    key_share: float = 0.5
    live_streams: int = 8
    live_idle_s: float = 30.0
    grace_s: float = 30.0
    jobs: str | None = None
    jobs_at_once: int = 2
    jobs_audio_s: float = 360_000.0
    jobs_size: str = "16GiB"
    jobs_kept_s: float = 86_400.0
    cache: str = "memory"
    cache_size: str = "64MiB"
    cache_kept_s: float = 86_400.0
    page: bool = True
    log: Log = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{flag(name)} is {getattr(self, name):g}; {low:g} to {high:g} is possible.")
        for name in SIZES:
            try:
                parse_size(getattr(self, name))
            except UsageError as error:
                raise UsageError(f"{flag(name)}: {error}") from None
        if not self.loopback and self.keys is None and not self.allow_anyone:
            raise UsageError(
                f"--host {self.host} can be reached from other machines: name --keys (`overtone keys add NAME` makes "
                "one), or say --allow-anyone."
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def origins(self) -> tuple[str, ...]:
        """`cors`, each by itself."""
        return tuple(origin.strip() for origin in self.cors.split(",") if origin.strip())

    @property
    def jobs_folder(self) -> Path:
        """Where jobs are kept."""
        return Path(self.jobs) if self.jobs is not None else platformdirs.user_data_path("overtone") / "jobs"

    def replace(self, **changes: Any) -> Settings:
        """A copy with some of it changed."""
        return dataclasses.replace(self, **changes)


SIZES = ("max_upload", "uploads_size", "jobs_size", "cache_size")
"""Settings that are sizes in memory or on disk."""

_DAY_S = 86_400.0

_RANGES: Mapping[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "max_files": (1, 100_000),
    "max_audio_s": (1, 36_000),
    "max_job_audio_s": (1, 30 * _DAY_S),
    "upload_idle_s": (0.1, 3600),
    "upload_rate": (0, 1e9),
    "deadline_s": (0.1, _DAY_S),
    "queue_audio_s": (1, 1e9),
    "key_share": (0.001, 1),
    "live_streams": (0, 1000),
    "live_idle_s": (0.1, 3600),
    "grace_s": (0, 3600),
    "jobs_at_once": (1, 64),
    "jobs_audio_s": (1, 1e12),
    "jobs_kept_s": (1, 3650 * _DAY_S),
    "cache_kept_s": (1, 3650 * _DAY_S),
}

HELP: Mapping[str, str] = {
    "transcriber": "Write speech down too, with this recogniser: sensevoice, paraformer-zh, a hub id or a folder.",
    "host": "Address to listen at. Other than loopback needs --keys.",
    "port": "Port to listen at; 0 takes a free one.",
    "keys": "Let in only who has a key of this file; `overtone keys add` makes one.",
    "allow_anyone": "Listen beyond loopback without keys: whoever reaches it may use it.",
    "cors": "Origins whose pages may call it from a browser, joined by commas. Default: none.",
    "max_upload": "Most bytes of one request.",
    "max_files": "Most files of one job.",
    "max_audio_s": "Most seconds of audio that are answered at once; longer audio is a job.",
    "max_job_audio_s": "Most seconds of audio of one file of a job, and of one live stream.",
    "uploads": "Folder for uploads under way. Default: a private one among the temporary files.",
    "uploads_size": "Most bytes of all uploads under way together.",
    "upload_idle_s": "Seconds without a byte after which an upload is given up.",
    "upload_rate": "Least bytes per second of an upload, on average.",
    "deadline_s": "Seconds after which an answer is of no use to whoever waits for it.",
    "queue_audio_s": "Most seconds of audio under way at once; what does not come out by the deadline is not let in.",
    "key_share": "Most of that queue, and of the audio that waits in jobs, that one key may have.",
    "live_streams": "Live streams at once.",
    "live_idle_s": "Seconds without audio after which a live stream is closed.",
    "grace_s": "Seconds to finish what was admitted when it is told to end.",
    "jobs": "Folder of the jobs. Default: in your data folder.",
    "jobs_at_once": "Files of jobs under way at once.",
    "jobs_audio_s": "Most seconds of audio that wait in jobs.",
    "jobs_size": "Most bytes of uploads and results of jobs on disk.",
    "jobs_kept_s": "Seconds that a finished job and its results are kept.",
    "cache": "Where answers are kept: memory, off, or redis://host:port/0.",
    "cache_size": "Most bytes of answers in memory.",
    "cache_kept_s": "Seconds that an answer is kept.",
    "page": "Serve the web page too, where Gradio is installed.",
    "log": "Form of the log: json, text, or auto: text on a terminal.",
}
"""One line for each setting, shown by `overtone serve --help`."""
