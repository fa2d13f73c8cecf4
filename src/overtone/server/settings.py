"""Settings of the service, beside the model's options: flags of `overtone serve`, or `OVERTONE_SERVE_…`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from overtone.errors import UsageError
from overtone.options.check import check_ranges, check_types, help_of, option
from overtone.system.memory import parse_size
from overtone.wording import param

Log = Literal["auto", "json", "text"]

CacheNamespace = Literal["key", "shared"]
"""The requests that find an answer that is kept: those with the same key, or all."""


_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits, places and doors of the service; `HELP` says what each is. Frozen, and checked when made.

    Seconds named `_audio_s` are of audio, others of the clock. Sizes are as people write them. UsageError for a value
    that cannot be.
    """

    transcriber: str | None = option(
        None, "Write speech down too, with this recognizer: sensevoice, paraformer-zh, a hub id or a folder."
    )
    served_name: str | None = option(
        None,
        "The emotion model's name in requests and answers. Default: its short name, hub id, or folder's last part.",
    )
    transcriber_served_name: str | None = option(None, "The recognizer's name there. Default: likewise.")
    host: str = option("127.0.0.1", "Address to listen at. Other than loopback needs --keys.")
    port: int = option(8765, "Port to listen at; 0 takes a free one.", range=(0, 65_535))
    keys: str | None = option(None, "Let in only who has a key of this file; `overtone keys add` makes one.")
    allow_anyone: bool = option(False, "Listen beyond loopback without keys: whoever reaches it may use it.")
    cors: str = option("", "Origins whose pages may call it from a browser, joined by commas. Default: none.")
    max_upload: str = option("256MiB", "Most bytes of one request.")
    max_files: int = option(1000, "Most files of one job.", range=(1, 100_000))
    max_audio_s: float = option(
        900.0, "Most seconds of audio that are answered at once; longer audio is a job.", range=(1, 36_000)
    )
    max_job_audio_s: float = option(
        36_000.0, "Most seconds of audio of one file of a job, and of one live stream.", range=(1, 30 * _DAY_S)
    )
    uploads: str | None = option(
        None, "Folder for uploads under way. Default: a private one among the temporary files."
    )
    uploads_size: str = option("4GiB", "Most bytes of all uploads under way together.")
    upload_idle_s: float = option(15.0, "Seconds without a byte after which an upload is given up.", range=(0.1, 3600))
    upload_rate: int = option(4096, "Least bytes per second of an upload, on average.", range=(0, 1e9))
    deadline_s: float = option(
        120.0, "Seconds after which an answer is of no use to whoever waits for it.", range=(0.1, _DAY_S)
    )
    queue_audio_s: float = option(
        1800.0,
        "Most seconds of audio under way at once; what does not come out by the deadline is not let in.",
        range=(1, 1e9),
    )
    key_share: float = option(
        0.5, "Most of that queue, and of the audio that waits in jobs, that one key may have.", range=(0.001, 1)
    )
    client_requests: int = option(
        256, "Requests, streams and open pages of one client's address at once.", range=(1, 100_000)
    )
    live_streams: int = option(8, "Live streams at once.", range=(0, 1000))
    live_idle_s: float = option(30.0, "Seconds without audio after which a live stream is closed.", range=(0.1, 3600))
    grace_s: float = option(30.0, "Seconds to finish what was admitted when it is told to end.", range=(0, 3600))
    jobs: str | None = option(None, "Folder of the jobs. Default: in your data folder.")
    jobs_at_once: int = option(2, "Files of jobs under way at once.", range=(1, 64))
    jobs_audio_s: float = option(360_000.0, "Most seconds of audio that wait in jobs.", range=(1, 1e12))
    jobs_size: str = option("16GiB", "Most bytes of uploads and results of jobs on disk.")
    jobs_kept_s: float = option(
        86_400.0, "Seconds that a finished job and its results are kept.", range=(1, 3650 * _DAY_S)
    )
    cache: str = option("memory", "Where answers are kept: memory, off, or redis://host:port/0.")
    cache_size: str = option("64MiB", "Most bytes of answers in memory.")
    cache_kept_s: float = option(86_400.0, "Seconds that an answer is kept.", range=(1, 3650 * _DAY_S))
    cache_namespace: CacheNamespace = option(
        "key", "Who finds an answer that is kept: key: requests with the same key alone; shared: all."
    )
    cache_secret_file: str | None = option(
        None, "File with the secret that answers in Redis are sealed with. Default: one made at each start."
    )
    page: bool = option(True, "Serve the web page too, where Gradio is installed.")
    log: Log = option("auto", "Form of the log: json, text, or auto: text on a terminal.")

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        for name in SIZES:
            try:
                parse_size(getattr(self, name))
            except UsageError as error:
                raise UsageError(f"{param(name)}: {error.template}") from None
        for name in ("served_name", "transcriber_served_name"):
            served = getattr(self, name)
            if served is not None and not (0 < len(served) <= MOST_NAME and served.isprintable()):
                raise UsageError(f"{param(name)} is {served!r}; a name has 1 to {MOST_NAME} printable characters.")
        if self.served_name is not None and self.served_name == self.transcriber_served_name:
            raise UsageError(
                f"{param('served_name')} and {param('transcriber_served_name')} are both {self.served_name!r}; two "
                "models have two names."
            )
        if not self.loopback and self.keys is None and not self.allow_anyone:
            raise UsageError(
                f"{param('host', self.host)} can be reached from other machines: name {param('keys')} (`overtone keys "
                f"add NAME` makes one), or say {param('allow_anyone', True)}."
            )

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def origins(self) -> tuple[str, ...]:
        """`cors`, each by itself."""
        return tuple(origin.strip() for origin in self.cors.split(",") if origin.strip())

    @property
    def jobs_folder(self) -> Path:
        """The folder of the jobs."""
        return Path(self.jobs) if self.jobs is not None else platformdirs.user_data_path("overtone") / "jobs"

    def replace(self, **changes: Any) -> Settings:
        """A copy with some of it changed."""
        return dataclasses.replace(self, **changes)


MOST_NAME = 128
"""Characters of a model's name."""

SIZES = ("max_upload", "uploads_size", "jobs_size", "cache_size")
"""Settings that are sizes in memory or on disk."""

HELP: Mapping[str, str] = help_of(Settings)
"""One line for each setting, shown by `overtone serve --help`."""
