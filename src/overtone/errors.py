"""Errors as one tree. Everything a user may see derives from `OvertoneError`.

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

from enum import Enum
from typing import ClassVar

from overtone.wording import Face, worded


def printable(name: str) -> str:
    """A name in a form that any message, JSON or table can take: bytes that are no UTF-8 become `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class Code(str, Enum):
    """Short stable names of what went wrong, as records and HTTP answers carry them. A text like any other."""

    BAD_HEADER = "bad_header"
    BAD_INPUT = "bad_input"
    BAD_LIST = "bad_list"
    BAD_RATE = "bad_rate"
    BAD_REDIS_URL = "bad_redis_url"
    BAD_REQUEST = "bad_request"
    BAD_SAMPLES = "bad_samples"
    BROKEN_JOURNAL = "broken_journal"
    BROKEN_STORE = "broken_store"
    BUSY = "busy"
    CANCELLED = "cancelled"
    CHECKPOINT = "checkpoint"
    CLOSED = "closed"
    CONFLICT = "conflict"
    DEADLINE = "deadline"
    DECODER_DIED = "decoder_died"
    DECODER_MEMORY = "decoder_memory"
    DECODER_TIME = "decoder_time"
    DEVICE = "device"
    DEVICE_LOST = "device_lost"
    DIED = "died"
    DIRECTORY_LOOP = "directory_loop"
    DOWNLOAD = "download"
    EMPTY = "empty"
    ERROR = "error"
    EXPIRED = "expired"
    FAULT = "fault"
    FOREIGN = "foreign"
    GAVE_UP = "gave_up"
    GONE = "gone"
    KEY_REUSED = "key_reused"
    LOST = "lost"
    METHOD = "method"
    MISSING_EXTRA = "missing_extra"
    MODEL = "model"
    MODEL_FAILED = "model_failed"
    NO_AUDIO = "no_audio"
    NO_SPACE = "no_space"
    NO_SPEAKERS = "no_speakers"
    NOT_AUDIO = "not_audio"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    OTHER_RUN = "other_run"
    OUT_OF_MEMORY = "out_of_memory"
    OVER_BUDGET = "over_budget"
    PROCESS_DIED = "process_died"
    REFUSED = "refused"
    SILENCE = "silence"
    TIME = "time"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_MANY_CHANNELS = "too_many_channels"
    TOO_SHORT = "too_short"
    TRIAL = "trial"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNWRITABLE = "unwritable"
    UPLOAD_TIMEOUT = "upload_timeout"
    USAGE = "usage"

    # As `enum.StrEnum` has them, which came with Python 3.11.
    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, format_spec: str) -> str:
        return format(self.value, format_spec)

    def __repr__(self) -> str:
        return repr(self.value)

    @property
    def retryable(self) -> bool:
        """True where the same call may succeed later, with nothing changed."""
        return self in _RETRYABLE


_CODES: dict[str, Code] = {code.value: code for code in Code}

_RETRYABLE = frozenset(
    {
        Code.BUSY,
        Code.CANCELLED,
        Code.DEADLINE,
        Code.DOWNLOAD,
        Code.GONE,
        Code.LOST,
        Code.NO_SPACE,
        Code.NOT_READY,
        Code.UNREACHABLE,
        Code.UPLOAD_TIMEOUT,
    }
)


class OvertoneError(Exception):
    """Base of every error that is meant for the user. `str(error)` is the whole message.

    Where it names options, it does so as whoever reads it gives them: `max_segment` in Python, `--max-segment` at the
    command line.

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
    default_code: ClassVar[Code] = Code.ERROR

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.template = message
        """The message with its options unworded (`overtone.wording`): what another message is made of."""
        self.code: str = _CODES.get(code, code) if code else self.default_code
        """A `Code`; another text where a record of another release has one."""

    @property
    def retryable(self) -> bool:
        """True where the same call may succeed later, with nothing changed."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return worded(self.template)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def worded(self, face: Face) -> str:
        """The message for one face: its options named as that gives them."""
        return worded(self.template, face)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.template, self.code), self.__dict__)


def _rebuild(kind: type[OvertoneError], message: str, code: str) -> OvertoneError:
    """Unpickle with the code kept; plain exceptions would lose keyword arguments."""
    return kind(message, code=code)


def with_source(error: OvertoneError, name: str) -> OvertoneError:
    """The same error, its message naming the input that it is about, if it does not yet."""
    return error if error.template.startswith(name) else with_message(error, f"{name}: {error.template}")


def with_message(error: OvertoneError, template: str) -> OvertoneError:
    """The same error with another message."""
    changed = type(error)(template, code=error.code)
    changed.__dict__.update(error.__dict__, template=template)
    return changed


class UsageError(OvertoneError):
    """The call itself is wrong: an unknown option, a value out of range, two options at odds. Exit code 2.

    Examples
    --------
    >>> from overtone import Options, UsageError
    >>> try:
    ...     Options(window=0.01)
    ... except UsageError as error:
    ...     print(error)
    window is 0.01; 0.1 to 600 is possible.
    """

    exit_code = 2
    default_code = Code.USAGE


class InputError(OvertoneError):
    """One input cannot be used; the others are not touched. Exit code 1.

    It is the `error` of that input's result, and ends no run.

    Notes
    -----
    Codes: not_found, unreadable, empty, not_audio, no_audio, bad_header, bad_samples, bad_rate,
    too_many_channels, directory_loop, too_short, too_long, bad_list, decoder_died,
    decoder_time, decoder_memory; silence, where something is made of speech alone; model_failed and
    fault, where the input met a fault of the model's or of Overtone's own.
    """

    exit_code = 1
    default_code = Code.BAD_INPUT


class BudgetError(OvertoneError):
    """The memory budget cannot hold the model or this input; the message gives one that would. Exit code 3."""

    exit_code = 3
    default_code = Code.OVER_BUDGET
    enough_bytes = 0
    """Budget in bytes that would do; 0 where none is known."""


class ModelError(OvertoneError):
    """The model cannot be loaded or used. Exit code 4."""

    default_code = Code.MODEL


class CheckpointError(ModelError):
    """A checkpoint folder is missing a part, or a part is broken, unknown or of the wrong shape. Exit code 4."""

    default_code = Code.CHECKPOINT


class DownloadError(ModelError):
    """A hub could not be reached, or does not have the model asked for. Exit code 4."""

    default_code = Code.DOWNLOAD


class DeviceError(OvertoneError):
    """The device or the precision asked for is not available on this machine. Exit code 4."""

    default_code = Code.DEVICE


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
    not_ready, no_space, deadline, foreign, expired, lost; and unreachable, where there is none.
    """

    exit_code = 1
    default_code = Code.REFUSED

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
    default_code = Code.OUT_OF_MEMORY

    def __init__(self, message: str, *, code: str | None = None, left_bytes: int = 0) -> None:
        super().__init__(message, code=code)
        self.left_bytes = left_bytes
