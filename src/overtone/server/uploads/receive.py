"""From a request to files on disk, or to a refusal that leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import anyio
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from overtone.errors import RefusedError
from overtone.server.uploads.form import Form
from overtone.server.uploads.rate_limit import RateLimit
from overtone.server.uploads.spool import Spool
from overtone.server.uploads.spooled_file import Upload
from overtone.server.uploads.writer import UploadWriter, too_large
from overtone.system.memory import MIB

TYPES = "multipart/form-data, application/octet-stream, audio/* or video/*"

FORM_BYTES = MIB
"""What a form may add to its files: fields, headers, boundaries."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a request brought: files in their order, at least one, and fields of a form by their names."""

    files: tuple[Upload, ...]
    fields: Mapping[str, str]


class _Plain:
    """A body that is one file."""

    def __init__(self, name: str, arrivals: UploadWriter) -> None:
        self.fields: dict[str, str] = {}
        self._arrivals = arrivals
        arrivals.begin(name)

    def feed(self, piece: bytes) -> None:
        self._arrivals.data(piece)

    def end(self) -> None:
        self._arrivals.end()


async def receive(spool: Spool, request: Request) -> Received:
    """Take the files of a request to disk. Whoever calls removes them; where this raises, nothing of them stays.

    A form has its files in parts with a file name, or called `file`; any other body is one file, called as the query
    parameter `name` says. InputError: empty. RefusedError: too_large, upload_timeout, bad_request, unsupported_type,
    no_space, gone.
    """
    limits, arrivals, pace = spool.limits, UploadWriter(spool), RateLimit(spool.limits)
    body = _body(request, arrivals)
    added_bytes = FORM_BYTES if isinstance(body, Form) else 0
    announced = announced_bytes(request)
    if announced > limits.most_bytes + added_bytes:
        raise too_large(limits.most_bytes)
    spool.check_room(announced - added_bytes)
    try:
        async with aclosing(request.stream()) as stream:
            while (piece := await _next(stream, pace)) is not None:
                if pace.received_bytes > limits.most_bytes + added_bytes:
                    raise too_large(limits.most_bytes)
                body.feed(piece)
                await arrivals.settle()
        body.end()
        await arrivals.settle()
        return Received(arrivals.uploads, body.fields)
    except BaseException:
        await arrivals.discard()
        raise


def _body(request: Request, arrivals: UploadWriter) -> Form | _Plain:
    """What reads a body of this type. RefusedError where nothing does."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise RefusedError(
            "the body has a Content-Encoding; send it as it is, because what it grows to cannot be told beforehand.",
            code="unsupported_type",
        )
    raw_kind, options = parse_options_header(request.headers.get("content-type"))
    kind = raw_kind.decode("latin-1").lower()
    if kind == "multipart/form-data":
        if not options.get(b"boundary"):
            raise RefusedError("the form cannot be read: its Content-Type names no boundary.", code="bad_request")
        return Form(options[b"boundary"], arrivals)
    if kind == "application/octet-stream" or kind.startswith(("audio/", "video/")):
        return _Plain(request.query_params.get("name", ""), arrivals)
    raise RefusedError(f"the body has to be of the type {TYPES}, which its Content-Type says.", code="unsupported_type")


def announced_bytes(request: Request) -> int:
    """What Content-Length says; 0 where it is left out. RefusedError (bad_request) where it is no number."""
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise RefusedError("the Content-Length is no number of bytes.", code="bad_request")
    return int(text)


async def _next(stream: AsyncGenerator[bytes, None], pace: RateLimit) -> bytes | None:
    """The next piece of a body; None after the last. RefusedError: upload_timeout, gone."""
    patience_s = pace.timeout_s
    if patience_s <= 0:
        raise pace.refusal()
    since = time.monotonic()
    try:
        with anyio.fail_after(patience_s):
            piece = await anext(stream)
    except StopAsyncIteration:
        return None
    except TimeoutError:
        raise pace.refusal() from None
    except ClientDisconnect:
        raise RefusedError("the client went away before all of its upload had come.", code="gone") from None
    pace.add(len(piece), time.monotonic() - since)
    return piece
