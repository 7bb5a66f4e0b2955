"""The protocol fed without a network: the same bytes mean the same, however they are cut; and what a request costs."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ports import App
from gateway.server.connect import Connector
from gateway.server.listener import Bound, Listener, Silent
from gateway.server.protocol import GatewayProtocol
from tests.rawhttp import FOLLOWER, Echo, limits


class Memory(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """The test feeds on regardless, as a transport does with what it has already read."""

    def resume_reading(self) -> None:
        """Nothing to do."""


def connected(app: App) -> tuple[GatewayProtocol, Memory]:
    bound = Bound(Listener("main", "127.0.0.1:0", app, limits=limits(body=1000)), Silent())
    protocol, transport = Connector(bound)("192.0.2.1", False), Memory()
    protocol.connection_made(transport)
    return protocol, transport


async def feed(pieces: list[bytes]) -> tuple[list[tuple[Any, ...]], bytes]:
    """What the app saw and the client got, after the loop had its turn between the pieces."""
    echo = Echo()
    protocol, transport = connected(echo)
    for piece in pieces:
        if not transport.closing:
            protocol.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    written = bytes(transport.written)
    protocol.connection_lost(None)
    seen = [(one.method, one.target, one.version, one.headers, one.fault and one.fault.reason) for one in echo.seen]
    return [*seen, tuple(echo.bodies), tuple(error.reason for error in echo.errors)], written


STREAMS = {
    "pipelined": b"GET /1?a#b HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\n\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    + FOLLOWER,
    "chunked": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n006\r\n world\r\n0\r\nT: u\r\n\r\n"
    + FOLLOWER,
    "blank lines in chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n\r\n\r\n\r\n\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n"
    + FOLLOWER,
    "upgrade": b"POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello" + FOLLOWER,
    "http/1.0": b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello" + FOLLOWER,
    "bad field": b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n" + FOLLOWER,
    "bad chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\nhello\r\n0\r\n\r\n" + FOLLOWER,
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + FOLLOWER,
    "both framings": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + FOLLOWER,
    "other version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n" + FOLLOWER,
    "too large": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5dc\r\n" + b"x" * 1500 + b"\r\n0\r\n\r\n" + FOLLOWER,
}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_however_a_stream_is_cut_it_means_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    seen, written = asyncio.run(feed(pieces))
    expected, answer = asyncio.run(feed([stream]))
    assert told(seen) == told(expected)
    assert statuses(written) == statuses(answer)


def told(seen: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without what is known only of the part of a broken head that came: the fields before the fault."""
    return [one[:3] + one[4:] if len(one) == 5 and one[4] is not None else one for one in seen]


def statuses(written: bytes) -> list[bytes]:
    return [part[:3] for part in written.split(b"HTTP/1.1 ")[1:]]


async def test_byte_by_byte_is_a_way_to_cut_it_too() -> None:
    for name, stream in STREAMS.items():
        seen, _ = await feed([stream[place : place + 1] for place in range(len(stream))])
        expected, _ = await feed([stream])
        assert told(seen) == told(expected), name


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b" ",
                b":",
                b"GET",
                b"/",
                b"HTTP/1.1",
                b"Host: a",
                b"0",
                b"5",
                b"Content-Length: 5",
                b"Transfer-Encoding: chunked",
                b"hello",
                b"\0",
                b"\xff",
                b";",
                b"Connection: upgrade",
                b"Upgrade: x",
            ]
        ),
        max_size=40,
    )
)
def test_no_soup_of_tokens_breaks_the_protocol(tokens: list[bytes]) -> None:
    soup = b"".join(tokens)
    seen, written = asyncio.run(feed([soup, soup]))
    assert len(statuses(written)) <= len(seen)
    for one in seen[:-2]:
        assert one[2] in ("1.0", "1.1")
