"""A link: any bytes end in frames or in a fault, its accounts balance, and two of them understand each other."""

import random
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Field
from gateway.http2 import frames
from gateway.http2.frames import PREFACE, Code, ConnectionFault, rendered
from gateway.http2.link import Bounds, Link
from gateway.http2.stream import Stream

BOUNDS = Bounds(streams=10, window=65536, connection_window=131072, head=16384)


class Side:
    """An owner that remembers, and takes whatever comes; what it has to send is in `out`."""

    def __init__(self, *, client: bool) -> None:
        self.out = bytearray()
        self.heads: list[tuple[int, list[Field], bool]] = []
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.finished: set[int] = set()
        self.link = Link(self, BOUNDS, client=client, write=self.out.extend, write_last=self.out.extend, time=lambda: 0.0)
        self.link.begin()

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        self.heads.append((stream.id, fields, end))
        self.ended |= {stream.id} if end else set()

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        self.bodies[stream.id] = self.bodies.get(stream.id, b"") + piece
        self.link.taken(stream, len(piece))
        self.ended |= {stream.id} if end else set()

    def broken(self, stream: Stream, code: int) -> None:
        self.resets[stream.id] = code

    def leaving(self, last: int, code: int) -> None: ...
    def settled(self) -> None: ...

    def done(self, stream: Stream) -> None:
        self.finished.add(stream.id)


def exchange(one: Side, other: Side, cut: random.Random) -> None:
    """Carry everything across, cut anywhere, until nothing is left."""
    while one.out or other.out:
        for sender, receiver in ((one, other), (other, one)):
            while sender.out:
                size = cut.randint(1, len(sender.out))
                piece = bytes(sender.out[:size])
                del sender.out[:size]
                while not receiver.link.receive(piece):
                    piece = b""


REQUEST: list[Field] = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]


@given(st.lists(st.binary(max_size=200_000), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_two_links_carry_bodies_of_any_size_both_ways(bodies: list[bytes], cut: Any) -> None:
    client, server = Side(client=True), Side(client=False)
    for body in bodies:
        stream = client.link.open(REQUEST, end=False)
        client.link.send(stream, body)
        client.link.end(stream, [(b"x-trailer", b"1")])
    exchange(client, server, cut)
    for number, body in enumerate(bodies):
        stream = server.link.streams[2 * number + 1]
        assert server.bodies.get(stream.id, b"") == body
        server.link.head(stream, [(b":status", b"200")], end=False)
        server.link.send(stream, body)
        server.link.end(stream)
    exchange(client, server, cut)
    assert [client.bodies.get(2 * number + 1, b"") for number in range(len(bodies))] == bodies
    for side in (client, server):
        assert not side.link.streams
        assert len(side.finished) == len(bodies)
        assert side.link.credit + side.link.owed == BOUNDS.connection_window, "all credit is back"
        assert side.resets == {}


HELLO = PREFACE + rendered(frames.SETTINGS, 0, 0)
KIND = st.integers(0, 11)
PAYLOAD = st.one_of(st.binary(max_size=40), st.sampled_from([b"", bytes(4), b"\0\0\0\1", bytes(8), b"\x82\x86\x84\x41\x01a"]))
ANY = st.tuples(KIND, st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]), st.integers(0, 9), PAYLOAD)


@given(st.lists(ANY, max_size=40))
def test_any_frames_are_taken_or_end_the_connection_and_credit_never_leaks(sent: list[tuple[int, int, int, bytes]]) -> None:
    server = Side(client=False)
    server.link.receive(HELLO)
    try:
        for kind, flags, stream, payload in sent:
            server.link.receive(rendered(kind, flags, stream, payload))
    except ConnectionFault:
        assert bytes(server.out).find(rendered(frames.GOAWAY, 0, 0)[3:5]) >= 0
        return
    link = server.link
    assert link.credit + link.owed == BOUNDS.connection_window
    assert len(link.streams) <= BOUNDS.streams
    assert all(not stream.closed for stream in link.streams.values())


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_end_the_connection(octets: bytes) -> None:
    for begun in (b"", PREFACE, HELLO):
        with suppress(ConnectionFault):
            assert Side(client=False).link.receive(begun + octets)


def test_what_ended_refers_to_nothing() -> None:
    client = Side(client=True)
    stream = client.link.open(REQUEST, end=True)
    client.link.let_go()
    assert stream.closed
    assert not client.link.streams
    client.out.clear()
    client.link.reset(stream, Code.CANCEL)
    client.link.leave()
    assert not client.out
