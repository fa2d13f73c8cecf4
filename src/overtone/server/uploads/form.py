"""Streaming parser of multipart forms: files go to the upload writer, fields are few and small."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from overtone.errors import Code, RefusedError
from overtone.server.uploads.names import encoded_name, text_of
from overtone.server.uploads.writer import UploadWriter
from overtone.system.memory import KIB, format_size

MOST_FIELDS = 32
MOST_FIELD_BYTES = 4 * KIB
"""Bytes of the name and the value of a field together."""

MOST_HEADER_BYTES = 16 * KIB
"""Bytes of one line in the headers of a part; there may be eight of them."""

LIST = "[]"
"""Ending of names of fields that may be there several times; their values are joined by `SEPARATOR`."""

SEPARATOR = "\n"

PROMPT, REFERENCES = "prompt", "known_speaker_references[]"

CLIPPED_BYTES = {PROMPT: 2 * KIB, REFERENCES: 0}
"""Bytes kept of fields that OpenAI's clients send of any length, such as audio in `data:` URLs, which nothing here
listens to: the rest is let go as it comes. All other fields are refused beyond `MOST_FIELD_BYTES`."""

FILE_FIELD = "file"
"""A part of this name is a file also where the client gives no file name."""


class Form:
    """Parser of a form's body, fed in pieces cut anywhere. RefusedError (bad_request) for a malformed body."""

    def __init__(self, boundary: bytes, arrivals: UploadWriter) -> None:
        self.fields: dict[str, str] = {}
        self._arrivals = arrivals
        self._begun = self._ended = self._any_file = False
        self._headers: dict[str, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._field: str | None = None
        self._count = 0
        self._value = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._more_of_header_name,
                    "on_header_value": self._more_of_header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._more_of_part,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
                max_header_size=MOST_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _bad(f"{error}") from error

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        if not self._begun:
            # After line breaks the parser passes over any text before the first boundary, or not, depending on where
            # pieces are cut. Without line breaks it never does.
            piece = piece.lstrip(b"\r\n")
            self._begun = bool(piece)
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _bad(f"{error}") from error

    def end(self) -> None:
        """End the body."""
        if not self._ended:
            raise _bad("it was cut off: its closing boundary did not come")
        if not self._any_file:
            raise _bad(f"it has no file; send one as a part with a file name, or as the part {FILE_FIELD!r}")

    def _part_begins(self) -> None:
        self._headers = {}

    def _more_of_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _more_of_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_end(self) -> None:
        disposition = self._headers.get("content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise _bad("a part has no Content-Disposition with a name")
        encoding = self._headers.get("content-transfer-encoding", b"binary").decode("latin-1").strip().lower()
        if encoding not in ("7bit", "8bit", "binary"):
            raise _bad("a part has a Content-Transfer-Encoding; send its bytes as they are")
        name = text_of(options[b"name"])
        called = text_of(options[b"filename"]) if b"filename" in options else encoded_name(disposition)
        self._field = name if called is None and name != FILE_FIELD else None
        if self._field is None:
            self._any_file = True
            self._arrivals.begin(called or "")
        elif name in self.fields and not name.endswith(LIST):
            raise _bad(f"the field {name[:64]!r} is there twice")
        elif self._count >= MOST_FIELDS:
            raise _bad(f"it has more than {MOST_FIELDS} fields")

    def _more_of_part(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._arrivals.data(data[start:end])
            return
        if (most := CLIPPED_BYTES.get(self._field)) is not None:
            end = min(end, start + most - len(self._value))
        self._value += data[start:end]
        self._check_field(self._field)

    def _check_field(self, name: str) -> None:
        if len(name.encode()) + len(self._value) > MOST_FIELD_BYTES:
            raise _bad(f"the field {name[:64]!r} is longer than {format_size(MOST_FIELD_BYTES)}")

    def _part_ends(self) -> None:
        if self._field is None:
            self._arrivals.end()
            return
        self._check_field(self._field)
        try:
            # What was cut may have been cut within a character.
            clipped = len(self._value) == CLIPPED_BYTES.get(self._field)
            value = self._value.decode("utf-8", "ignore" if clipped else "strict")
        except UnicodeDecodeError as error:
            raise _bad(f"the field {self._field[:64]!r} is no UTF-8") from error
        before = self.fields.get(self._field)
        self.fields[self._field] = value if before is None else f"{before}{SEPARATOR}{value}"
        self._count += 1
        self._value.clear()

    def _form_ends(self) -> None:
        self._ended = True


def _bad(reason: str) -> RefusedError:
    return RefusedError(f"the form cannot be read: {reason.rstrip('.')}.", code=Code.BAD_REQUEST)
