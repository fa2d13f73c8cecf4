"""Where requests end: what is clear goes through in any pieces, and what is not is refused at once."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.server.middleware.framing import MOST_HEAD_BYTES, FramingError, RequestFraming

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /v1/emotion?a=%20 HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

CLEAR = {
    "get": GET,
    "old": b"GET / HTTP/1.0\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "url": b"GET HTTP://b.example:80/v1/plan?seconds=1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-bare": b"GET https://[::1] HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-query": b"GET http://b?a=/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "length": POST + b"Content-Length: 5\r\n\r\nab\r\n\n",
    "no-body": POST + b"content-length:0\r\n\r\n",
    "blanks": POST + b"X-A: \t b c \t\r\nX-B:\r\n\r\n",
    "chunked": CHUNKED + b"5\r\n\n\r\n0\n\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"1\r\na\r\n000\r\nX-A: b\r\nX-C: d\r\n\r\n",
    "coding": POST + b"Transfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n",
}

UNCLEAR = {
    "both": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both-swapped": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "lf-request-line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "lf-header": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "lf-blank": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "lf-all": b"GET / HTTP/1.1\nHost: a\n\n",
    "cr-header": b"GET / HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n",
    "fold": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "fold-tab": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n",
    "fold-first": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "colon-tab": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "no-colon": b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    "lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "lengths-listed": POST + b"Content-Length: 4, 5\r\n\r\nabcde",
    "length-sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "length-minus": POST + b"Content-Length: -1\r\n\r\n",
    "length-hex": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "length-underscore": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length-empty": POST + b"Content-Length:\r\n\r\n",
    "length-long": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "codings": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "codings-twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding-unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding-quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding-gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding-old": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "nul-name": b"GET / HTTP/1.1\r\nHost: a\r\nX\x00A: b\r\n\r\n",
    "nul-value": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
    "nul-target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "vertical-tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "url-user": b"GET http://a@b/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-other": b"GET ftp://b/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-nowhere": b"GET http:///v1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-fragment": b"GET http://b/#a HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-port": b"GET http://b:x/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-escaped": b"GET http://a%2eb/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "url-no-host": b"GET http://b/ HTTP/1.1\r\n\r\n",
    "no-slash": b"GET v1/plan HTTP/1.1\r\n" + HOST + b"\r\n",
    "star": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /#a HTTP/1.1\r\n" + HOST + b"\r\n",
    "blanks": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab": b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "eight-bits": "GET /ü HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "long-target": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "version-2": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "version-0": b"GET /\r\n\r\n",
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "empty-line": b"\r\n" + GET,
    "large": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * MOST_HEAD_BYTES,
    "chunk-lf": CHUNKED + b"5\nabcde\r\n0\r\n\r\n",
    "chunk-lf-end": CHUNKED + b"5\r\nabcde\n0\r\n\r\n",
    "chunk-lf-extension": CHUNKED + b"5;a\nb\r\nabcde\r\n0\r\n\r\n",
    "chunk-cr-extension": CHUNKED + b"5;a\rb\r\nabcde\r\n0\r\n\r\n",
    "chunk-lf-last": CHUNKED + b"0\r\n\n",
    "chunk-lf-trailer": CHUNKED + b"0\r\nX-A: b\n\r\n",
    "chunk-fold-trailer": CHUNKED + b"0\r\nX-A: b\r\n c\r\n\r\n",
    "chunk-long": CHUNKED + b"3\r\nabcde\r\n0\r\n\r\n",
    "chunk-short": CHUNKED + b"7\r\nabcde\r\n0\r\n\r\n",
    "chunk-prefix": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "chunk-blank": CHUNKED + b"5 \r\nabcde\r\n0\r\n\r\n",
    "chunk-empty": CHUNKED + b"\r\nabcde\r\n0\r\n\r\n",
    "chunk-huge": CHUNKED + b"f" * 20 + b"\r\n",
    "chunk-extension-long": CHUNKED + b"5;" + b"a" * 1000,
    "trailer-long": CHUNKED + b"0\r\n" + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000,
}


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_request_is_one_in_any_pieces(name: str) -> None:
    whole, slowly = RequestFraming(), RequestFraming()
    whole.feed(CLEAR[name])
    assert whole.between
    for at in range(len(CLEAR[name])):
        assert slowly.between == (at == 0)
        slowly.feed(CLEAR[name][at : at + 1])
    assert slowly.between


@pytest.mark.parametrize("name", UNCLEAR)
def test_an_unclear_request_is_refused_after_those_before_it(name: str) -> None:
    with pytest.raises(FramingError) as whole:
        RequestFraming().feed(GET + CLEAR["chunked"] + UNCLEAR[name])
    assert whole.value.complete_bytes == len(GET + CLEAR["chunked"])
    slowly = RequestFraming()
    with pytest.raises(FramingError):
        for at in range(len(UNCLEAR[name])):
            slowly.feed(UNCLEAR[name][at : at + 1])


def parsed(data: bytes) -> int | None:
    """How many whole requests the parser behind finds; None where it refuses them."""
    found, connection = 0, h11.Connection(h11.SERVER)
    connection.receive_data(data)
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is h11.NEED_DATA:
            return found
        if event is h11.PAUSED:
            connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return found
            connection.start_next_cycle()
        elif isinstance(event, h11.EndOfMessage):
            found += 1


def complete(data: bytes) -> int | None:
    """How many whole requests are told apart; None where they are refused."""
    found, framing = 0, RequestFraming()
    for at in range(len(data)):
        try:
            framing.feed(data[at : at + 1])
        except FramingError:
            return None
        found += framing.between
    return found


PIECES = st.sampled_from([*CLEAR.values(), *UNCLEAR.values()])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES.filter(lambda piece: len(piece) < 400), min_size=1, max_size=3), st.data())
def test_what_goes_through_is_what_the_parser_reads(pieces: list[bytes], data: st.DataObject) -> None:
    """With some bytes changed: what is let through has the same number of requests for both."""
    sent = bytearray(b"".join(pieces).replace(b"HTTP/1.0", b"HTTP/1.1"))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at : at + 1] = data.draw(st.sampled_from([b"\r", b"\n", b" ", b"0", b"", b"\r\n", b":", b"a"]))
    found = complete(bytes(sent))
    if found is not None:
        assert parsed(bytes(sent)) in (found, None)  # the beginning of a request may be refused before it is whole
