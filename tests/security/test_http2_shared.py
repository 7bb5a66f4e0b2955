"""One HTTP/2 connection to an upstream carries the requests of many: what one client breaks off, or has broken off, costs no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, house
from tests.http2peer import CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, Heard, Http2Server, Peer, ask, framed, peer, saying

LISTEN: dict[str, Any] = {"address": "127.0.0.1:0", "http2": True}
MANY = 300
"""Of what an upstream of ours would lose its connection for, were it a client."""


async def wait(question: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not question():
            await asyncio.sleep(0.001)


class Shared:
    """An upstream with one connection. It answers `/public/victim` when it is told to, and others as `rude` does."""

    def __init__(self, rude: Callable[[Peer, int, Heard], None]) -> None:
        self._rude = rude
        self._victim = 0
        self.server = Http2Server(self._answer)

    def _answer(self, served: Peer, stream: int, heard: Heard) -> None:
        if dict(heard.heads[0])[":path"] == "/public/victim":
            self._victim = stream
        else:
            self._rude(served, stream, heard)

    @property
    def connection(self) -> Peer:
        """The one there is."""
        (served,) = self.server.peers
        return served

    def asked(self, count: int) -> Callable[[], bool]:
        """Whether so many requests came, the victim's too."""
        return lambda: len(self.connection.streams) >= count

    def got(self, stream: int, size: int) -> Callable[[], bool]:
        """Whether so much of a body came."""
        return lambda: len(self.connection.streams[stream].body) == size

    @asynccontextmanager
    async def waiting(self, folder: Path) -> AsyncIterator[House]:
        """A gateway before it, where somebody waits for an answer, and gets it in the end."""
        async with self.server:
            target = {
                "url": f"http://127.0.0.1:{self.server.port}",
                "http2": True,
                "connections": 1,
                "timeouts": {"connect": "10s"},
            }
            async with house(folder, upstream=target, listen=LISTEN) as home, peer(home.address()) as victim:
                victim.head(1, ask("/public/victim"))
                await wait(lambda: self._victim)
                yield home
                saying(b"mine")(self.connection, self._victim, Heard())
                heard = await victim.answer(1)
                assert (heard.status, heard.body) == (200, b"mine")
                assert not self.connection.closed


async def broken_off(home: House, shared: Shared, count: int) -> list[int]:
    """Requests that clients break off before they are answered, not many on each connection of theirs; the upstream's streams."""
    before = set(shared.connection.streams)
    while len(shared.connection.streams) < len(before) + count:
        async with peer(home.address()) as client:
            asked = len(shared.connection.streams)
            for number in range(1, 100, 2):
                client.head(number, ask("/public/attack"))
            await wait(shared.asked(asked + 50))
    made = sorted(set(shared.connection.streams) - before)
    await wait(lambda: all(shared.connection.streams[stream].reset == CANCEL for stream in made))
    return made


def resetting(served: Peer, stream: int, heard: Heard) -> None:
    """As gRPC servers do whose client said how little time it has."""
    served.reset(stream, CANCEL)


def malformed(served: Peer, stream: int, heard: Heard) -> None:
    served.head(stream, [("x-no", "status")])


@pytest.mark.parametrize("rude", [resetting, malformed])
async def test_requests_that_make_the_upstream_break_off_end_nobody_elses(tmp_path: Path, rude: Any) -> None:
    """CVE-2023-44487 is no concern of ours where the streams are ours: an upstream can reset only what it was asked."""
    async with Shared(rude).waiting(tmp_path) as home, peer(home.address()) as attacker:
        for number in range(1, 2 * MANY, 2):
            assert (await attacker.ask(number, ask("/public/attack", method="POST"), b"x")).status == 502


async def test_what_was_on_its_way_when_a_client_left_ends_nobody_elses(tmp_path: Path) -> None:
    """A stream of small messages, as gRPC has them: a window full of frames, each of a few bytes."""
    shared = Shared(lambda *_: None)
    async with shared.waiting(tmp_path) as home:
        (stream, *_) = await broken_off(home, shared, 1)
        shared.connection.head(stream, [(":status", "200")], end=False)
        for _ in range(4000):
            shared.connection.data(stream, b"small", end=False)
        shared.connection.data(stream, b"")


async def test_late_answers_to_more_than_is_remembered_end_nobody_elses(tmp_path: Path) -> None:
    """More requests are broken off than streams are kept in mind, and each is answered all the same."""
    shared = Shared(lambda *_: None)
    async with shared.waiting(tmp_path) as home:
        made = await broken_off(home, shared, 1200)
        for stream in made:
            shared.connection.write(framed(HEADERS, END_HEADERS, stream, b"\x88") + framed(DATA, END_STREAM, stream, b"late"))
            shared.connection.reset(stream)


async def test_a_body_in_tiny_pieces_ends_nobody_elses(tmp_path: Path) -> None:
    """Some servers (Go's before 1.20) say of every piece, however small, that they took it: twice. So does this one."""
    pieces = 1500
    shared = Shared(lambda *_: None)
    async with shared.waiting(tmp_path) as home, peer(home.address()) as attacker:
        attacker.head(1, ask("/public/attack", method="POST"), end=False)
        await wait(shared.asked(2))
        stream = max(shared.connection.streams)
        for size in range(1, pieces + 1):
            attacker.data(1, b"x", end=False)
            await wait(shared.got(stream, size))
        attacker.reset(1)
