"""What can go wrong, as one tree. Everything a user may see derives from `OvertoneError`.

    OvertoneError
    ├── UsageError        the call or command is wrong                                  exit 2
    ├── InputError        one input cannot be used; the others are not touched          exit 1
    ├── BudgetError       the memory budget cannot hold the work                        exit 3
    ├── ModelError        the model cannot be had or used                               exit 4
    │   ├── CheckpointError   a checkpoint is missing parts, broken or unknown
    │   └── DownloadError     a hub cannot be reached or does not have it
    ├── DeviceError       the device or precision is not to be had here                 exit 4
    ├── RefusedError      a service does not take this: now, from this caller, or at all           exit 1
    └── OutOfMemory       a backend ran out while running a batch; the engine answers it
                          by halving the batch, so users see it only as a BudgetError

Every error carries a short stable `code` (it goes into records and HTTP answers) and
a message that names the input and says what to do.
"""

from __future__ import annotations

from typing import ClassVar


def printable(name: str) -> str:
    """A name in a form that any message, JSON or table can take: bytes that are no UTF-8 become `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class OvertoneError(Exception):
    """Base of every error that is meant for the user. `str(error)` is the whole message.

    Parameters
    ----------
    message
        Names the input and says what to do.
    code
        Short code of the error, as records and HTTP answers carry it; `default_code` without it.
        `docs/troubleshooting.md` has the cause and cure of each.

    Examples
    --------
    >>> from overtone import expand
    >>> (entry,) = expand(["missing.wav"])
    >>> print(entry.error.code, entry.error.exit_code, entry.error)
    not_found 1 missing.wav: no such file or folder; check the path
    """

    exit_code: ClassVar[int] = 4
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.code))


def _rebuild(kind: type[OvertoneError], message: str, code: str) -> OvertoneError:
    """Unpickle with the code kept; plain exceptions would lose keyword arguments."""
    return kind(message, code=code)


def with_source(error: OvertoneError, name: str) -> OvertoneError:
    """The same error, its message naming the input that it is about, if it does not yet."""
    if str(error).startswith(name):
        return error
    return type(error)(f"{name}: {error}", code=error.code)


class UsageError(OvertoneError):
    """The call itself is wrong: an unknown option, a value out of range, two options at odds. Exit code 2.

    Examples
    --------
    >>> from overtone import Options, UsageError
    >>> try:
    ...     Options(window=0.01)
    ... except UsageError as error:
    ...     print(error)
    --window is 0.01; 0.1 to 600 is possible.
    """

    exit_code = 2
    default_code = "usage"


class InputError(OvertoneError):
    """One input cannot be used; the others are not touched. Exit code 1.

    It is the `error` of that input's result, and ends no run.

    Notes
    -----
    Codes: not_found, unreadable, empty, not_audio, no_audio, bad_samples, bad_rate, too_many_channels, directory_loop,
    too_short, bad_list, decoder_died.
    """

    exit_code = 1
    default_code = "bad_input"


class BudgetError(OvertoneError):
    """The memory budget cannot hold the model or this input; the message gives one that would. Exit code 3."""

    exit_code = 3
    default_code = "over_budget"


class ModelError(OvertoneError):
    """The model cannot be loaded or used. Exit code 4."""

    default_code = "model"


class CheckpointError(ModelError):
    """A checkpoint folder is missing a part, or a part is broken, unknown or of the wrong shape. Exit code 4."""

    default_code = "checkpoint"


class DownloadError(ModelError):
    """A hub could not be reached, or does not have the model asked for. Exit code 4."""

    default_code = "download"


class DeviceError(OvertoneError):
    """The device or the precision asked for is not available on this machine. Exit code 4."""

    default_code = "device"


class RefusedError(OvertoneError):
    """A service does not take a request: now, from this caller, or at all. Exit code 1.

    Parameters
    ----------
    message, code
        As of `OvertoneError`.
    retry_after_s
        Seconds until it is worth asking again; None where it is not, or that is not known.

    Attributes
    ----------
    retry_after_s
        As given.

    Notes
    -----
    Codes: bad_request, unauthorized, unknown, upload_timeout, too_large, too_long, unsupported_type, busy, gone,
    not_ready, no_space, deadline; and unreachable, where there is none.
    """

    exit_code = 1
    default_code = "refused"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class OutOfMemory(OvertoneError):  # noqa: N818 - what every runtime calls it
    """A backend ran out of memory while running a batch, of which nothing was kept. Exit code 3.

    Parameters
    ----------
    message, code
        As of `OvertoneError`.
    left_bytes
        Memory that the batch has left behind all the same.

    Attributes
    ----------
    left_bytes
        As given.
    """

    exit_code = 3
    default_code = "out_of_memory"

    def __init__(self, message: str, *, code: str | None = None, left_bytes: int = 0) -> None:
        super().__init__(message, code=code)
        self.left_bytes = left_bytes
