"""Command-line arguments → the list of inputs: files, folders, `-`, `@list.txt` and Kaldi `wav.scp`.

Nothing is decoded here and no command is ever run. An argument that cannot be used becomes a `FailedInput` in its
place, so that one bad line never stops the others. A file really called `-` or `@name` is written `./-`, `./@name`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from overtone.errors import Code, InputError, printable

_VIDEO = (
    *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "rm", "webm"),
    "wmv",
)
_AUDIO = (
    *(
        "aac",
        "ac3",
        "aif",
        "aifc",
        "aiff",
        "amr",
        "ape",
        "au",
        "awb",
        "caf",
        "dts",
        "eac3",
        "flac",
        "loas",
        "m4a",
        "m4b",
    ),
    *("mka", "mp2", "mp3", "mpc", "nist", "nut", "oga", "ogg", "opus", "ra", "snd", "sox", "sph", "spx", "tak", "tta"),
    *("voc", "w64", "wav", "wave", "wma", "wv"),
)
SUFFIXES = frozenset(f".{ending}" for ending in (*_AUDIO, *_VIDEO))
"""Endings looked for in folders, in lower case. A file that is named itself may end as it likes. `.ts` is not among
them: more files of that ending are TypeScript than recordings."""

_MAX_LINE = 65_536  # characters; a list with longer lines is some other file


@dataclass(frozen=True, slots=True)
class Input:
    """One input to run.

    Parameters
    ----------
    source
        Name of the input in records.
    path
        File to open; None for standard input.
    id
        Kaldi utterance id, where a `wav.scp` gives one.
    """

    source: str
    path: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class FailedInput:
    """An input that cannot be used, with the error that says why.

    Parameters
    ----------
    source
        Name of the input in records.
    error
        Reason, with the same code as in a record.
    id
        Kaldi utterance id, where a `wav.scp` gives one.
    """

    source: str
    error: InputError
    id: str | None = None


Entry = Input | FailedInput


def expand(items: Iterable[str], on_repeat: Callable[[Input], None] | None = None) -> Iterator[Entry]:
    """Yield the inputs that `items` name, in the order named, folders sorted; each path and id once.

    Lazy: one folder is listed at a time, and 16 bytes are kept of each input, to recognize it when it comes again.
    `on_repeat` is called with an input that comes again, which is left out.
    Never raises `InputError`; it is yielded, with the code not_found, unreadable, no_audio (a folder without
    audio), directory_loop, bad_list (a line that is refused) or empty (a list without a line).
    """
    seen: set[bytes] = set()
    for item in items:
        for entry in _expanded(item):
            if isinstance(entry, Input):
                key = _key(entry)
                if key in seen:
                    if on_repeat is not None:
                        on_repeat(entry)
                    continue
                seen.add(key)
            yield entry


def is_list_file(item: str) -> bool:
    """True for an item that names a list of inputs rather than an input."""
    return item.startswith("@") or item.lower().endswith(".scp")


def is_collection(item: str) -> bool:
    """True for an item that may stand for several inputs: a list or a folder."""
    return is_list_file(item) or os.path.isdir(item)


def _expanded(item: str) -> Iterator[Entry]:
    if item == "-":
        yield Input("-", None)
    elif item.startswith("@"):
        yield from _from_list(item, item[1:])
    else:
        yield from _from_path(item)


def _key(entry: Input) -> bytes:
    path = "-" if entry.path is None else os.path.realpath(entry.path)
    text = f"{path}\0{'' if entry.id is None else '=' + entry.id}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _from_path(path: str, source: str | None = None) -> Iterator[Entry]:
    source = path if source is None else source
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        yield _failed(source, error)
        return
    if stat.S_ISDIR(mode):
        yield from _from_folder(path)
    elif path.lower().endswith(".scp"):
        yield from _from_scp(path)
    else:
        yield Input(source, path)


def _from_folder(top: str) -> Iterator[Entry]:
    """Yield the inputs below a folder, depth first. A stack, not recursion: folders nest deeper than Python's stack."""
    nothing = True
    todo = [(top, iter([""]))]
    ancestors: list[tuple[int, int]] = []  # of the folders being listed: one fewer than `todo`
    while todo:
        folder, names = todo[-1]
        name = next(names, None)
        if name is None:
            todo.pop()
            if ancestors:
                ancestors.pop()
            continue
        path = os.path.join(folder, name) if name else folder
        try:
            status = os.stat(path)
            is_folder = stat.S_ISDIR(status.st_mode)
            identity = (status.st_dev, status.st_ino)
            if is_folder and identity in ancestors:
                nothing = False
                yield _loop(path)
            elif is_folder:
                listed = iter(sorted(n for n in os.listdir(path) if not n.startswith(".")))
                todo.append((path, listed))
                ancestors.append(identity)
            elif stat.S_ISREG(status.st_mode) and _is_audio(name):
                nothing = False
                yield Input(path, path)
        except OSError as error:
            # A dangling link counts only where it is called audio; a folder that cannot be listed always.
            if _is_audio(name) or not os.path.islink(path):
                nothing = False
                yield _failed(path, error)
    if nothing:
        text = f"{printable(top)}: no audio in this folder; looked for {' '.join(sorted(SUFFIXES))}"
        yield FailedInput(top, InputError(text, code=Code.NO_AUDIO))


def _loop(path: str) -> FailedInput:
    text = f"{printable(path)}: this link leads back to a folder it is in; it was not followed"
    return FailedInput(path, InputError(text, code=Code.DIRECTORY_LOOP))


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _from_list(source: str, path: str) -> Iterator[Entry]:
    for number, line in _lines(source, path):
        if isinstance(line, FailedInput):
            yield line
        elif line.startswith("@"):
            yield _refused(f"{path}:{number}", line, "a list in a list is not read; name its inputs here")
        else:
            located = _located(line, path)
            yield from _from_path(located, located)


def _from_scp(path: str) -> Iterator[Entry]:
    for number, line in _lines(path, path):
        if isinstance(line, FailedInput):
            yield line
            continue
        utt_id, target = (*line.split(None, 1), "")[:2]
        where = f"{path}:{number}"
        located = _located(target, path) if target else ""
        if not target:
            yield _refused(where, utt_id, "it must be 'id path'", utt_id)
        elif target.startswith("|") or target.endswith("|"):
            yield _refused(where, target, "commands are never run; run it and name the file it makes", utt_id)
        elif re.search(r":\d+(\[[\d:,]*\])?$", target) and not os.path.exists(located):
            yield _refused(where, target, "archives (path:offset) are not read; unpack it to files", utt_id)
        else:
            yield _from_scp_file(located, located, utt_id)


def _from_scp_file(source: str, path: str, utt_id: str) -> Entry:
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise IsADirectoryError(None, "a folder, not a file")
    except (OSError, ValueError) as error:
        return _failed(source, error, utt_id)
    return Input(source, path, utt_id)


def _lines(source: str, path: str) -> Iterator[tuple[int, str | FailedInput]]:
    """Yield (line number, stripped line) of a list, without blank lines and comments; or one failure."""
    nothing = True
    try:
        # Names that are no UTF-8 pass through, as they do on the command line.
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(_read_lines(file), start=1):
                if len(line) == _MAX_LINE:
                    nothing = False
                    yield number, _refused(f"{path}:{number}", source, "this is no list of paths")
                    break
                text = line.strip()
                if text and not text.startswith("#"):
                    nothing = False
                    yield number, text
    except (OSError, ValueError) as error:
        yield 0, _failed(source, error)
        return
    if nothing:
        yield 0, FailedInput(source, InputError(f"{printable(source)}: the list names nothing", code=Code.EMPTY))


def _read_lines(file: TextIO) -> Iterator[str]:
    return iter(lambda: file.readline(_MAX_LINE), "")


def _located(path: str, list_path: str) -> str:
    """The path as it stands (from the current folder) or, where that is not there, from the list's folder."""
    beside = os.path.join(os.path.dirname(list_path), path)
    return beside if not os.path.lexists(path) and os.path.lexists(beside) else path


def _refused(where: str, source: str, why: str, utt_id: str | None = None) -> FailedInput:
    return FailedInput(
        source, InputError(f"{printable(where)}: {printable(source)}: {why}", code=Code.BAD_LIST), utt_id
    )


def _failed(source: str, error: OSError | ValueError, utt_id: str | None = None) -> FailedInput:
    name = printable(source)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return FailedInput(
            source, InputError(f"{name}: no such file or folder; check the path", code=Code.NOT_FOUND), utt_id
        )
    reason = getattr(error, "strerror", None) or error
    text = f"{name}: it cannot be read ({reason}); check the name and its permissions"
    return FailedInput(source, InputError(text, code=Code.UNREADABLE), utt_id)
