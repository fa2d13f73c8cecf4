"""Opus packets out of WebM that comes in pieces, cut anywhere (RFC 9559, RFC 8794; https://www.webmproject.org).

A browser's MediaRecorder writes it while somebody speaks: a segment and clusters that do not say how long they are, an
Opus track, and a block for each packet. Everything else is passed over without being held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from overtone.errors import Code, InputError

EBML = b"\x1a\x45\xdf\xa3"
"""The first bytes of WebM."""

_ENTERED = frozenset({0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675})
"""Segment, Info, Tracks and Cluster, whose parts are read one after the other."""

_SCALE, _TIME = 0x2AD7B1, 0xE7
_TRACK, _GROUP, _SIMPLE_BLOCK, _BLOCK, _DISCARD = 0xAE, 0xA0, 0xA3, 0xA1, 0x75A2
_READ = (_SCALE, _TIME, _TRACK, _GROUP, _SIMPLE_BLOCK)
_NUMBER, _CODEC, _SETTINGS, _DELAY = 0xD7, 0x86, 0x63A2, 0x56AA

_DEFAULT_SCALE = 1_000_000
"""Nanoseconds of a unit of time, where a stream does not say them."""

_MOST_HELD = 65_536
"""Bytes of a track's description or of a block. An Opus packet has 61,200 and their lengths at the most (48
frames of 1,275 bytes: RFC 6716, section 3.2.5); anything larger is a picture, and passed over."""

_LONGEST_HEAD = 12
"""Bytes of an element's id and size."""

_LACING = 0x06
"""Bits of a block's flags that say that it holds several packets."""

_HEAD = b"OpusHead"
_LEAST_HEAD_BYTES = 19
_RATE = 48_000

_TO_CONVERT = "send 16-bit samples or Opus packets instead"


@dataclass(frozen=True, slots=True)
class OpusTrack:
    """An Opus track. head: its `OpusHead` (RFC 7845, section 5.1). skip: samples at 48 kHz that are not to be heard at
    its start. delay_ns: by so much its blocks are to be heard earlier than they say."""

    number: int
    head: bytes
    skip: int
    delay_ns: int = 0

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.head[len(_HEAD) + 1]


@dataclass(frozen=True, slots=True)
class OpusBlock:
    """One packet. discard: samples at 48 kHz that are not to be heard at its end. time_ns: nanoseconds from the first
    cluster's start to its own, negative where it begins with samples that are not to be heard."""

    packet: bytes
    discard: int = 0
    time_ns: int = 0


class WebmDemuxer:
    """Packets of the first Opus track of a stream. name: of the stream, in errors.

    Holds one element that is not complete yet, 64 KiB at the most, whatever it claims to be.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._held = bytearray()
        self._passing = 0
        self._begun = False
        self._scale, self._time = _DEFAULT_SCALE, 0
        self._origin: int | None = None
        self.track_count = 0
        """Tracks that have been described so far, of any kind."""
        self.track: OpusTrack | None = None
        """The track, once its description has come, which is before its first packet."""

    def push(self, piece: bytes) -> Iterator[OpusBlock]:
        """Packets that are complete with one more piece, read while they are asked for.

        InputError: not_audio where it is no WebM, or has no Opus track; bad_samples where it cannot be read on.
        """
        self._held += piece
        if not self._begun:
            if self._held[: len(EBML)] != EBML[: len(self._held)]:
                raise InputError(f"{self._name}: it is no WebM; {_TO_CONVERT}", code=Code.NOT_AUDIO)
            self._begun = len(self._held) >= len(EBML)
        while self._begun:
            if self._passing:
                passed = min(self._passing, len(self._held))
                del self._held[:passed]
                self._passing -= passed
            element = None if self._passing else _element(self._held, self._name)
            if element is None:
                return
            id, head_bytes, size = element
            if id in _ENTERED:
                del self._held[:head_bytes]
                continue
            if size is None:
                raise _broken(self._name, "a part does not say how long it is")
            if id not in _READ or size > _MOST_HELD:
                del self._held[:head_bytes]
                self._passing = size
                continue
            if len(self._held) < head_bytes + size:
                return
            body = bytes(self._held[head_bytes : head_bytes + size])
            del self._held[: head_bytes + size]
            yield from self._read(id, body)

    def _read(self, id: int, body: bytes) -> Iterator[OpusBlock]:
        if id == _TRACK:
            self.track_count += 1
            self.track = self.track or _track(body, self._name)
            return
        if id == _SCALE:
            self._scale = int.from_bytes(body[:8], "big") or _DEFAULT_SCALE
            return
        if id == _TIME:
            self._time = int.from_bytes(body[:8], "big")
            self._origin = self._time if self._origin is None else self._origin
            return
        if self.track is None:
            text = f"{self._name}: its WebM has no Opus track; {_TO_CONVERT}"
            raise InputError(text, code=Code.NOT_AUDIO)
        discard = 0
        if id == _GROUP:
            parts = _parts(body, self._name)
            padding = int.from_bytes(parts.get(_DISCARD, b"")[:8], "big", signed=True)
            body, discard = parts.get(_BLOCK, b""), max(0, _samples(padding))
        number, at = _vint(body, 0)
        if number != self.track.number:
            return
        if len(body) < at + 3:
            raise _broken(self._name, "a block is cut short")
        if body[at + 2] & _LACING:
            raise _broken(self._name, "a block holds several packets")
        time = self._time - (self._origin or 0) + int.from_bytes(body[at : at + 2], "big", signed=True)
        # As FFmpeg has it, the delay is a whole number of units too.
        delay = (2 * self.track.delay_ns + self._scale) // (2 * self._scale)
        yield OpusBlock(body[at + 3 :], discard, (time - delay) * self._scale)


def _track(body: bytes, name: str) -> OpusTrack | None:
    """The track that an entry describes; None where it is not Opus."""
    parts = _parts(body, name)
    if parts.get(_CODEC, b"").rstrip(b"\0") != b"A_OPUS":
        return None
    head = parts.get(_SETTINGS, b"")
    if not head.startswith(_HEAD) or len(head) < _LEAST_HEAD_BYTES or head[len(_HEAD) + 1] not in (1, 2):
        raise _broken(name, "its Opus track has no OpusHead of 1 or 2 channels")
    delay_ns = int.from_bytes(parts.get(_DELAY, b"")[:8], "big")
    # As FFmpeg has it: what the container says comes first.
    skip = _samples(delay_ns) or int.from_bytes(head[10:12], "little")
    return OpusTrack(int.from_bytes(parts.get(_NUMBER, b"")[:8], "big"), head, skip, delay_ns)


def _parts(body: bytes, name: str) -> dict[int, bytes]:
    """The parts of an element, by their ids; of several with one id the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(body):
        element = _element(body[at : at + _LONGEST_HEAD], name)
        id, head_bytes, size = (0, 0, None) if element is None else element
        if size is None or at + head_bytes + size > len(body):
            raise _broken(name, "a part is longer than what it is in")
        found[id] = body[at + head_bytes : at + head_bytes + size]
        at += head_bytes + size
    return found


def _element(data: bytes | bytearray, name: str) -> tuple[int, int, int | None] | None:
    """Id of the element at the start, bytes of its head, and size of its body, None for one that is not known.

    None where more of the head has to come.
    """
    if not data:
        return None
    id_bytes = 9 - data[0].bit_length()
    if id_bytes > 4:
        raise _broken(name, "a part begins as none does")
    if len(data) <= id_bytes:
        return None
    if not data[id_bytes]:
        raise _broken(name, "a part begins as none does")
    size_bytes = 9 - data[id_bytes].bit_length()
    if len(data) < id_bytes + size_bytes:
        return None
    value, at = _vint(data, id_bytes)
    size = None if value == (1 << 7 * size_bytes) - 1 else value
    return int.from_bytes(data[:id_bytes], "big"), at, size


def _vint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The number of variable length at a place (RFC 8794, section 4), and the place behind it; -1 for none."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > 8:
        return -1, at
    return int.from_bytes(data[at : at + length], "big") & (1 << 7 * length) - 1, at + length


def _samples(nanoseconds: int) -> int:
    """Samples at 48 kHz of a time, to the nearest."""
    return round(Fraction(nanoseconds * _RATE, 1_000_000_000))


def _broken(name: str, reason: str) -> InputError:
    return InputError(f"{name}: its WebM cannot be read: {reason}; {_TO_CONVERT}", code=Code.BAD_SAMPLES)
