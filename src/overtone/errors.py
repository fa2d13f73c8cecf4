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

Every error carries a short stable `code` (an `ErrorCode`; it goes into records and HTTP answers) and
a message that names the input and says what to do.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


def printable(name: str) -> str:
    """A name in a form that any message, JSON or table can take: bytes that are no UTF-8 become `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class ErrorCode(str, Enum):
    """Code of an error, which stays from version to version; `docs/troubleshooting.md` has cause and cure of each.

    A member is its own text: compared with a string, printed, formatted or written as JSON it is `not_found`.

    Attributes
    ----------
    retryable : bool
        Whether the same call can succeed later, with nothing changed but the load, the network or the disk.

    Examples
    --------
    >>> from overtone import ErrorCode
    >>> ErrorCode.NOT_FOUND == "not_found"
    True
    >>> f"{ErrorCode.BUSY}", ErrorCode("busy").retryable
    ('busy', True)
    """

    retryable: bool

    # One input.
    BAD_INPUT = "bad_input"
    BAD_LIST = "bad_list"
    BAD_RATE = "bad_rate"
    BAD_SAMPLES = "bad_samples"
    DECODER_DIED = "decoder_died", True
    DIRECTORY_LOOP = "directory_loop"
    EMPTY = "empty"
    FAULT = "fault"
    MODEL_FAILED = "model_failed"
    NO_AUDIO = "no_audio"
    NOT_AUDIO = "not_audio"
    NOT_FOUND = "not_found"
    SILENCE = "silence"
    TOO_LONG = "too_long"
    TOO_MANY_CHANNELS = "too_many_channels"
    TOO_SHORT = "too_short"
    UNREADABLE = "unreadable"

    # The call.
    BAD_REDIS_URL = "bad_redis_url"
    BROKEN_JOURNAL = "broken_journal"
    BROKEN_STORE = "broken_store"
    CLOSED = "closed"
    MISSING_EXTRA = "missing_extra"
    NO_SPEAKERS = "no_speakers"
    OTHER_RUN = "other_run"
    UNWRITABLE = "unwritable"
    USAGE = "usage"

    # Memory.
    OUT_OF_MEMORY = "out_of_memory"
    OVER_BUDGET = "over_budget"

    # Model and device.
    CANCELLED = "cancelled", True
    CHECKPOINT = "checkpoint"
    DEVICE = "device"
    DEVICE_LOST = "device_lost"
    DIED = "died"
    DOWNLOAD = "download", True
    ERROR = "error"
    GAVE_UP = "gave_up"
    MODEL = "model"
    PROCESS_DIED = "process_died"
    TIME = "time"
    TRIAL = "trial"

    # A service.
    BAD_REQUEST = "bad_request"
    BUSY = "busy", True
    DEADLINE = "deadline", True
    EXPIRED = "expired"
    FOREIGN = "foreign"
    GONE = "gone", True
    LOST = "lost", True
    METHOD = "method"
    NO_SPACE = "no_space", True
    NOT_READY = "not_ready", True
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable", True
    UNSUPPORTED_TYPE = "unsupported_type"
    UPLOAD_TIMEOUT = "upload_timeout", True

    def __new__(cls, text: str, retryable: bool = False) -> ErrorCode:
        """Make a member; `retryable` is no part of its value."""
        member = str.__new__(cls, text)
        member._value_ = text
        member.retryable = retryable
        return member

    # As enum.StrEnum has it, which needs Python 3.11; there and here the releases differ in what Enum itself prints.
    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, spec: str) -> str:
        return str.__format__(self, spec)

    def __repr__(self) -> str:
        return str.__repr__(self)


class OvertoneError(Exception):
    """Base of every error that is meant for the user. `str(error)` is the whole message.

    Parameters
    ----------
    message : str
        Names the input and says what to do.
    code : str, optional
        Code of the error; `default_code` without it.

    Attributes
    ----------
    code : str
        An `ErrorCode`; the plain text where a record or a service of another version has a code that this one has not.
    exit_code : int
        Exit code of a command that ends over the error.
    default_code : ErrorCode
        Code of an error that was given none.

    Examples
    --------
    >>> from overtone import ErrorCode, InputError
    >>> error = InputError("call.wav: no such file; check the path", code=ErrorCode.NOT_FOUND)
    >>> error.code, error.exit_code, error.retryable
    ('not_found', 1, False)
    """

    exit_code: ClassVar[int] = 4
    default_code: ClassVar[ErrorCode] = ErrorCode.ERROR

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = _as_known(code) if code else self.default_code

    @property
    def retryable(self) -> bool:
        """Whether the same call can succeed later; False for a code that this version does not know."""
        return isinstance(self.code, ErrorCode) and self.code.retryable

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.code))


def _as_known(code: str) -> str:
    try:
        return ErrorCode(code)
    except ValueError:
        return code


def _rebuild(kind: type[OvertoneError], message: str, code: str) -> OvertoneError:
    """Unpickle with the code kept; plain exceptions would lose keyword arguments."""
    return kind(message, code=code)


def with_source(error: OvertoneError, name: str) -> OvertoneError:
    """The same error, its message naming the input that it is about, if it does not yet."""
    if str(error).startswith(name):
        return error
    return type(error)(f"{name}: {error}", code=error.code)


class UsageError(OvertoneError):
    """The call itself is wrong: an unknown option, a value out of range, two options at odds.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 2.
    """

    exit_code = 2
    default_code = ErrorCode.USAGE


class InputError(OvertoneError):
    """One input cannot be used; the others are not touched.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 1.

    Notes
    -----
    Codes: not_found, unreadable, empty, not_audio, no_audio, bad_samples, bad_rate, too_many_channels, directory_loop,
    too_short, bad_list, decoder_died.

    Examples
    --------
    A failed input does not end a run; its result holds the error:

    >>> from overtone import expand
    >>> (entry,) = expand(["missing.wav"])
    >>> entry.error.code
    'not_found'
    """

    exit_code = 1
    default_code = ErrorCode.BAD_INPUT


class BudgetError(OvertoneError):
    """The memory budget cannot hold the model or this input. The message gives the number that would do.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 3.
    """

    exit_code = 3
    default_code = ErrorCode.OVER_BUDGET


class ModelError(OvertoneError):
    """The model cannot be had or used.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 4.
    """

    default_code = ErrorCode.MODEL


class CheckpointError(ModelError):
    """A checkpoint folder is missing a part, or a part is broken, unknown or of the wrong shape.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 4.
    """

    default_code = ErrorCode.CHECKPOINT


class DownloadError(ModelError):
    """A hub could not be reached, or does not have what was asked for.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 4.
    """

    default_code = ErrorCode.DOWNLOAD


class DeviceError(OvertoneError):
    """The device or the precision asked for is not to be had on this machine.

    Parameters and attributes are those of `OvertoneError`. A command ends over it with 4.
    """

    default_code = ErrorCode.DEVICE


class RefusedError(OvertoneError):
    """A service does not take a request: now, from this caller, or at all. A command ends over it with 1.

    Parameters
    ----------
    message : str
        Says what was refused and what to do.
    code : str, optional
        Code of the error; `refused` without it.
    retry_after_s : float, optional
        Seconds until it is worth asking again; None where it is not, or nobody can tell.

    Attributes
    ----------
    retry_after_s : float or None
        As given.

    Notes
    -----
    Codes: bad_request, unauthorized, unknown, upload_timeout, too_large, too_long, unsupported_type, busy, gone,
    not_ready, no_space, deadline; and unreachable, where there is none.
    """

    exit_code = 1
    default_code = ErrorCode.REFUSED

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class OutOfMemory(OvertoneError):  # noqa: N818 - what every runtime calls it
    """A backend ran out of memory while running a batch, of which nothing was kept. A command ends over it with 3.

    Parameters
    ----------
    message : str
        Says which batch of which model it was.
    code : str, optional
        Code of the error; `out_of_memory` without it.
    left_bytes : int, default 0
        Memory that the batch has left behind all the same.

    Attributes
    ----------
    left_bytes : int
        As given.
    """

    exit_code = 3
    default_code = ErrorCode.OUT_OF_MEMORY

    def __init__(self, message: str, *, code: str | None = None, left_bytes: int = 0) -> None:
        super().__init__(message, code=code)
        self.left_bytes = left_bytes
