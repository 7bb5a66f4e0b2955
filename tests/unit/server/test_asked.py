"""What a stream's head asks for: whatever is accepted is one request of HTTP/1.1, and says the same there."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.edge.model import ListenerLimits
from gateway.server.h2.asked import METHODS, Asked, asked, known

LIMITS = ListenerLimits()
TEXT = st.one_of(st.binary(max_size=12), st.sampled_from([b"/", b"/a?b", b"GET", b"a.test", b"http", b"5", b"trailers", b"a=b"]))
NAMES = st.one_of(
    st.sampled_from(
        [b":method", b":path", b":scheme", b":authority", b"host", b"cookie", b"te", b"content-length", b"x", b"connection"]
    ),
    st.binary(max_size=6),
)
HEAD = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/")]


class Reading:
    """A second reader: llhttp."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.complete += 1


def in_http_1_1(request: Asked) -> Reading:
    reading = Reading()
    parser = httptools.HttpRequestParser(reading)
    lines = b"".join(
        name + b": " + value + b"\r\n" for name, value in request.headers if name not in (b"content-length", b"expect")
    )
    parser.feed_data(request.method.encode() + b" " + request.target + b" HTTP/1.1\r\n" + lines + b"\r\n")
    assert parser.get_method().decode() == request.method
    return reading


@given(st.lists(st.tuples(NAMES, TEXT), max_size=6), st.booleans())
def test_whatever_is_accepted_is_one_request_that_says_the_same_to_llhttp(more: list[tuple[bytes, bytes]], end: bool) -> None:
    for fields in ([*HEAD, *more], [*more, *HEAD], more):
        try:
            request = asked(fields, LIMITS, end=end)
        except BadRequest:
            method, target = known(fields)
            assert method == "-" or method in METHODS
            assert target.isascii()
            continue
        try:
            reading = in_http_1_1(request)
        except httptools.HttpParserError:
            assert b" " in request.target or not request.target.isascii() or b"\t" in request.target  # for intake to refuse
            continue
        assert (reading.complete, reading.target) == (1, request.target)
        assert reading.headers == [field for field in request.headers if field[0] not in (b"content-length", b"expect")]
        assert [name for name, _ in request.headers].count(b"host") == 1
        assert [name for name, _ in request.headers].count(b"cookie") <= 1


@pytest.mark.parametrize("method", sorted(METHODS - {"CONNECT"}))
def test_the_methods_are_llhttps(method: str) -> None:
    request = asked([(b":method", method.encode()), *HEAD[1:]], LIMITS, end=True)
    assert in_http_1_1(request).target == b"/"
