"""The protocol fed without a network: the same bytes mean the same, however they are cut; and what a request costs."""

import asyncio
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.message import Inbound, Response
from gateway.core.ports import App, Writer
from gateway.core.reason import Reason
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
    protocol, transport = GatewayProtocol(bound, "192.0.2.1", False), Memory()
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


@settings(max_examples=60)
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
    """Without what depends on how much came at once: the fields before the fault in a head; whether a body was found broken before
    its request began or while it was read. Either is an error, and the errors stand at the end."""
    return [one[:3] if len(one) == 5 and (one[4] is not None or seen[-1]) else one for one in seen]


def statuses(written: bytes) -> list[bytes]:
    return [part[:3] for part in written.split(b"HTTP/1.1 ")[1:]]


async def test_byte_by_byte_is_a_way_to_cut_it_too() -> None:
    for name, stream in STREAMS.items():
        seen, _ = await feed([stream[place : place + 1] for place in range(len(stream))])
        expected, _ = await feed([stream])
        assert told(seen) == told(expected), name


@settings(max_examples=300)
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


async def converse(heads: list[bytes], *, forgetful: bool) -> tuple[list[tuple[Any, ...]], bytes, list[bool]]:
    """What the app saw of each head, the client got, and which heads were told to be the first one's repetition.

    A forgetful connection has a tick of the clock between its requests, so that llhttp reads each of them.
    """
    echo = Echo()
    protocol, transport = connected(echo)
    for head in heads:
        if not transport.closing:
            protocol.data_received(head)
        for _ in range(12):
            await asyncio.sleep(0)
        if forgetful:
            protocol.check(0.0)
    written = bytes(transport.written)
    protocol.connection_lost(None)
    seen: list[tuple[Any, ...]] = [
        (one.method, one.target, one.version, one.headers, one.fault and one.fault.reason, one.body.length) for one in echo.seen
    ]
    seen.append(tuple(echo.bodies))
    return seen, written, [one.headers is echo.seen[0].headers for one in echo.seen]


FIELDS = (
    b"Host: a\r\nAuthorization: Bearer t\r\n",
    b"Host: a\r\nX-Y:  z \r\nX-y: w\r\nConnection: keep-alive\r\n",
    b"Host: a\r\nContent-Length: 0\r\n",
    b"Host: a\r\nConnection: close\r\n",
    b"Host: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n",
    b"Host: a\r\nExpect: 100-continue\r\n",
    b"Host : a\r\n",
    b"",
)
heads = st.builds(
    lambda method, target, version, fields: b"%b %b %b\r\n%b\r\n" % (method, target, version, fields),
    st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"DELETE", b"get", b"CONNECT", b"PRI"]),
    st.one_of(
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12).map(lambda text: b"/" + text.encode()),
        st.binary(max_size=12).map(lambda raw: b"/" + raw),
        st.sampled_from([b"*", b"http://a/", b"/ /", b"//", b"/?a=b#c", b"/" + b"a" * 8192, b"/\r\nX: y"]),
    ),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"]),
    st.sampled_from([FIELDS[0], FIELDS[0], *FIELDS]),
)


@settings(max_examples=400)
@given(st.lists(heads, min_size=2, max_size=4))
def test_a_head_read_as_a_repetition_means_what_llhttp_says_it_means(sequence: list[bytes]) -> None:
    seen, written, _ = asyncio.run(converse(sequence, forgetful=False))
    expected, answer, _ = asyncio.run(converse(sequence, forgetful=True))
    assert seen == expected
    assert statuses(written) == statuses(answer)
    pipelined, written, _ = asyncio.run(converse([b"".join(sequence)], forgetful=False))
    assert [one[:3] for one in pipelined[:-1]] == [one[:3] for one in expected[:-1]]
    assert statuses(written) == statuses(answer)


LENGTHS = (
    b"Content-Length: %d\r\n",
    b"Content-Length: %d\r\nX: 1\r\n",
    b"Content-Length: %d\r\nX: 2\r\n",
    b"content-length:  %d \r\nX: 1\r\n",
    b"Content-Length: 0%d\r\n",
    b"Content-Length: +%d\r\n",
    b"Content-Length: %d\r\nContent-Length: %d\r\n",
    b"X: Content-Length: %d\r\n",
    b"X: 1\r\n Content-Length: %d\r\n",
    b"Content-Length: %d\r\nExpect: 100-continue\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Length: %d\r\nConnection: close\r\n",
    b"Transfer-Encoding: chunked\r\n",
)
TARGETS = (b"/", b"/a?b", b'/"', b"/a b", b"/\xff", b"*", b"/ HTTP/1.1\r\nX: y", b"/" + b"a" * 8192)
BODIES = (b"hello", b"", b"5\r\nhello\r\n0\r\n\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 1000, b"x" * 1001)


def posted(method: bytes, target: bytes, length: bytes, body: bytes, off: int = 0, behind: bytes = b"") -> bytes:
    announced = max(0, len(body) + off)
    return b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n%b%b" % (method, target, length.replace(b"%d", b"%d" % announced), body, behind)


posts = st.builds(
    posted,
    st.sampled_from([b"POST", b"POST", b"PUT", b"GET"]),
    st.sampled_from(TARGETS),
    st.sampled_from(LENGTHS),
    st.sampled_from(BODIES) | st.binary(max_size=20),
    st.sampled_from([0, 0, 0, 0, 0, -1, 1]),
    st.sampled_from([b"", b"", b"", b"", FOLLOWER]),
)


async def assert_read_alike(sequence: list[bytes]) -> None:
    """What llhttp would have read in each request, and what it would have been answered."""
    seen, written, _ = await converse(sequence, forgetful=False)
    expected, answer, _ = await converse(sequence, forgetful=True)
    assert seen == expected, sequence
    assert statuses(written) == statuses(answer)


@settings(max_examples=200)
@given(st.lists(posts, min_size=2, max_size=4))
def test_bodies_read_with_repeated_heads_are_those_llhttp_finds(sequence: list[bytes]) -> None:
    asyncio.run(assert_read_alike(sequence))


@pytest.mark.parametrize("usual", LENGTHS[:2], ids=["last", "followed"])
@pytest.mark.parametrize("length", LENGTHS, ids=range(len(LENGTHS)))
async def test_nothing_but_target_and_length_may_differ_in_a_head_that_repeats(usual: bytes, length: bytes) -> None:
    first = posted(b"POST", b"/", usual, b"hello")
    for target, body in product(TARGETS, BODIES):
        await assert_read_alike([first, posted(b"POST", target, length, body)])
    for off, behind in product((-1, 0, 1), (b"", FOLLOWER)):
        await assert_read_alike([first, posted(b"POST", b"/", length, b"hello", off, behind)])


async def test_a_request_that_repeats_another_but_for_its_body_is_taken_without_llhttp() -> None:
    echo = Echo()
    protocol, _ = connected(echo)
    head = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: 1\r\n\r\n%b"
    for number, body in enumerate((b"one", b"two", b"three", b"four", b"x" * 1000)):
        protocol.data_received(head % (number, len(body), body))
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert echo.bodies == [b"one", b"two", b"three", b"four", b"x" * 1000]
    assert [dict(one.headers)[b"content-length"] for one in echo.seen] == [b"3", b"3", b"5", b"4", b"1000"]
    assert echo.seen[1].headers is echo.seen[0].headers
    assert {id(one.memo) for one in echo.seen[1:]} == {id(echo.seen[1].memo)}


@pytest.mark.parametrize("octet", range(256), ids=lambda octet: f"{octet:02x}")
async def test_every_octet_of_a_repeated_target_is_read_as_llhttp_reads_it(octet: int) -> None:
    sequence = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x%by?z%b HTTP/1.1\r\nHost: a\r\n\r\n" % (bytes([octet]), bytes([octet])),
    ]
    assert (await converse(sequence, forgetful=False))[0] == (await converse(sequence, forgetful=True))[0]


async def test_only_what_repeats_the_last_request_but_for_its_target_is_a_repetition() -> None:
    fields = b"\r\nHost: a\r\nX: 1\r\n\r\n"
    first, same = b"GET /1 HTTP/1.1" + fields, b"GET /2?q=%20 HTTP/1.1" + fields
    _, _, repeated = await converse([first, same, same], forgetful=False)
    assert repeated == [True, True, True]
    for other in (
        b"HEAD /2 HTTP/1.1" + fields,
        b"GET /2 HTTP/1.0" + fields,
        b"GET /2 HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n",
        b"GET /2 HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 1\r\n\r\n",
        b'GET /"2 HTTP/1.1' + fields,
        b"GET http://a/2 HTTP/1.1" + fields,
    ):
        _, _, repeated = await converse([first, other], forgetful=False)
        assert repeated == [True, False], other
    _, _, repeated = await converse([first, same, same], forgetful=True)
    assert repeated == [True, False, False]


async def test_a_repetition_keeps_to_the_limits_of_now() -> None:
    echo = Echo()
    protocol, _ = connected(echo)
    bound = protocol._bound
    short = replace(bound.listener, limits=limits(request_line=20, headers=30))
    requests = [b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /" + b"1" * 7 + b" HTTP/1.1\r\nHost: a\r\n\r\n"]
    for request, listener in ((requests[0], bound.listener), (requests[0], short), (requests[0], short), (requests[1], short)):
        bound.listener = listener
        protocol.data_received(request)
        for _ in range(4):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert [one.fault and one.fault.reason for one in echo.seen] == [None, None, None, Reason.TARGET_TOO_LONG]


class AtOnce:
    """An app that answers without waiting."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, inbound: Inbound, writer: Writer) -> None:
        self.asked.append(inbound.target)
        await writer.start(Response(200, []), inbound.target, False)


async def test_a_long_pipeline_answered_at_once_neither_nests_nor_keeps_others_waiting() -> None:
    app = AtOnce()
    protocol, transport = connected(app)
    other, _ = connected(app)
    requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3000)]
    protocol.data_received(b"".join(requests))
    assert app.asked == [b"/0"], "the rest waits for the loop's next turn"
    other.data_received(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    assert app.asked[1:] == [b"/other"]
    for _ in range(3000):
        await asyncio.sleep(0)
    assert app.asked[2:] == [b"/%d" % number for number in range(1, 3000)]
    assert bytes(transport.written).count(b"HTTP/1.1 200 OK\r\n") == 3000
    assert not transport.closing


async def test_a_client_that_leaves_at_once_is_noticed_by_a_request_that_has_only_begun_to_wait() -> None:
    """What is left of the request is a task by then that has not had its first turn."""
    ended: list[str] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("evidence")

    protocol, _ = connected(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    protocol.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert (ended, protocol.run) == (["evidence"], None)
