"""A service whose disk is full, whose folders are removed, and whose clock jumps, with jobs that were handed in."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from common import write_clips
from faults_trial import Trial
from serve_http import HOST, multipart
from serve_process import Served

DISK_MIB = 24
FORMATS = ("jsonl", "csv", "srt", "vtt", "txt")
JUMPS_DAYS = (2, -3650, 2)
"""Days that the clock is moved by, one after the other."""

WAIT_S = 120.0

_OWN_DISK = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"'
"""In a mount namespace of the process, so that it needs no rights and leaves nothing behind."""

# What has expired is looked for at every moment, not every minute.
_SHIFTED_CLOCK = """
import sys, time
real, file = time.time, sys.argv.pop(1)
def shifted():
    with open(file) as offset:
        return real() + float(offset.read() or 0)
time.time = shifted
from overtone.server.jobs import runner
runner._HOUSEKEEPING_S = 0.2
from overtone.cli.app import main
sys.exit(main())
"""


def disk_and_clock(folder: Path) -> Iterator[Trial]:
    """A trial for each; `folder` is for their files."""
    clips = write_clips(folder / "clips", 10)
    if _may_mount():
        yield _full_disk(folder / "full", clips)
    else:
        print("a full disk: not tried, this user may not mount a file system in a namespace", file=sys.stderr)
    yield _removed_folders(folder / "removed", clips)
    yield _clock(folder / "clock", clips)


def _may_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _full_disk(folder: Path, clips: list[Path]) -> Trial:
    """Nothing taken on is lost while there is no byte left, and room comes back by deleting a job."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    own_disk = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _OWN_DISK, "sh", str(DISK_MIB)]
    with Served([*own_disk, str(disk), *_serve(disk)], folder / "served") as served:
        jobs = _Jobs(served)
        first, second = jobs.hand_in(clips), jobs.hand_in(clips)
        jobs.wait(first)
        jobs.wait(second)
        before = {form: jobs.result(first, form, 0) for form in FORMATS}
        # The same file system, as others see it.
        ballast = Path(f"/proc/{served.pid}/root{disk}/ballast")
        _fill(ballast)
        lost = [f"{form} changed" for form in FORMATS if jobs.result(first, form, 0) != before[form]]
        refused, reason = jobs.status("/readyz")
        if refused != 503 or b"space" not in reason:
            lost.append(f"/readyz: {refused} {reason!r}")
        status, answer = jobs.status("/v1/jobs", clips)
        if status not in (503, 507) or b"code" not in answer:
            lost.append(f"a job without room: {status} {answer!r}")
        if (status := jobs.delete(second)) != 204:
            lost.append(f"DELETE: {status}")
        ballast.unlink()
        lost += _comes_true("ready again", lambda: jobs.status("/readyz")[0] == 200)
        third = jobs.hand_in(clips)
        jobs.wait(third)
        lost += jobs.incomplete(third, len(clips))
    return Trial("full disk", f"{len(FORMATS)} formats, DELETE, a job before and after", tuple(lost))


def _removed_folders(folder: Path, clips: list[Path]) -> Trial:
    """The folder of uploads is made again; without the one of jobs the service says that it is not ready."""
    folder.mkdir()
    lost = []
    with Served(_serve(folder), folder / "served") as served:
        jobs = _Jobs(served)
        shutil.rmtree(folder / "uploads")
        status, answer = jobs.status("/v1/emotion", clips[:1])
        if status != 200:
            lost.append(f"an upload after its folder was removed: {status} {answer!r}")
        shutil.rmtree(folder / "jobs")
        lost += _comes_true("not ready without its jobs", lambda: jobs.status("/readyz")[0] == 503)
    return Trial("folders removed", "uploads, jobs", tuple(lost))


def _clock(folder: Path, clips: list[Path]) -> Trial:
    """Results that were finished a moment ago outlive every jump of the clock."""
    folder.mkdir()
    offset = folder / "offset"
    offset.write_text("0")
    command = [sys.executable, "-c", _SHIFTED_CLOCK, str(offset), *_serve(folder)[3:]]
    lost = []
    days = 0
    for jump in (0, *JUMPS_DAYS):
        with Served(command, folder / f"served{days}{jump}") as served:
            jobs = _Jobs(served)
            if not jump:
                job = jobs.hand_in(clips)
                jobs.wait(job)
                before = jobs.result(job, "jsonl")
            days += jump
            offset.write_text(str(days * 86_400))
            time.sleep(2.0)  # what looks for expired jobs may run
            if (now := jobs.result(job, "jsonl")) != before:
                lost.append(f"{days} days on: {now[:200]!r}")
    # Each start found another clock than the one that it ended with, too.
    return Trial("clock", f"jumps of {', '.join(map(str, JUMPS_DAYS))} days, restarts", tuple(lost))


def _serve(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "overtone", "serve", "--port", "0", "--no-page", "--memory", "1GiB"]
    return [*command, "--jobs", str(folder / "jobs"), "--uploads", str(folder / "uploads")]


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def _comes_true(words: str, predicate: Callable[[], bool]) -> list[str]:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if predicate():
            return []
        time.sleep(0.2)
    return [f"{words}: not within {WAIT_S:g} s"]


class _Jobs:
    """The jobs of a service, as a client has them."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def hand_in(self, files: list[Path]) -> str:
        """The id of a job of these files. RuntimeError if it is refused."""
        status, answer = self.status("/v1/jobs", files)
        if status != 202:
            raise RuntimeError(f"a job was refused: {status} {answer!r}")
        return str(json.loads(answer)["id"])

    def wait(self, job: str) -> None:
        """Return once it is finished. RuntimeError if that takes too long."""
        if late := _comes_true(f"job {job}", lambda: self._state(job) not in ("queued", "running")):
            raise RuntimeError(late[0])

    def _state(self, job: str) -> str:
        return str(json.loads(self.status(f"/v1/jobs/{job}")[1])["state"])

    def result(self, job: str, form: str, file: int | None = None) -> bytes:
        """Its records, or those of one file, or the refusal."""
        of_file = "" if file is None else f"&file={file}"
        return self.status(f"/v1/jobs/{job}/result?format={form}{of_file}")[1]

    def incomplete(self, job: str, files: int) -> list[str]:
        """Its failed records, and how many are missing, each as a text."""
        records = [json.loads(line) for line in self.result(job, "jsonl").splitlines()]
        lost = [f"{record['source']}: {record['error']}" for record in records if record["error"]]
        return lost if len(records) == files else [*lost, f"{len(records)} records of {files}"]

    def delete(self, job: str) -> int:
        """The status of the answer."""
        request = urllib.request.Request(f"http://{HOST}:{self._served.port}/v1/jobs/{job}", method="DELETE")
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    def status(self, path: str, files: list[Path] | None = None) -> tuple[int, bytes]:
        """The status and the content of the answer to a GET, or to a POST of files."""
        kind, body = (None, None) if files is None else multipart((path.name, path.read_bytes()) for path in files)
        try:
            content = self._served.fetch(path, body, kind)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        return (202 if path == "/v1/jobs" else 200), content
