"""Server-sent events and other streams: every piece leaves at once, however many requests are in flight beside it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from tests.house import House, house, request_bytes
from tests.scripted import HEAD, READ, Script, Scripted
from tests.standalone import until

START = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
MANY = 40
"""Streams side by side: more than are written together at one turn of the event loop."""


@dataclass
class Event:
    """One event as the EventSource interface hands it out."""

    kind: str = "message"
    data: list[str] = field(default_factory=list)
    id: str = ""


@dataclass
class EventSource:
    """The client half of the HTML standard's "server-sent events": parsing, and connecting anew with Last-Event-ID."""

    gateway: House
    path: str
    last: str = ""
    retry: float = 0.01
    connections: int = 0

    async def events(self) -> AsyncGenerator[Event, None]:
        while True:
            self.connections += 1
            event = Event(id=self.last)
            async with aclosing(self._lines()) as lines:
                async for line in lines:
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if not line:
                        if event.data:
                            yield event
                        event = Event(id=self.last)
                    elif name == "data":
                        event.data.append(value)
                    elif name == "event":
                        event.kind = value
                    elif name == "id":
                        self.last = event.id = value
                    elif name == "retry":
                        self.retry = int(value) / 1000
            await asyncio.sleep(self.retry)

    async def _lines(self) -> AsyncGenerator[str, None]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": self.last} if self.last else {})}
        reader, writer = await asyncio.open_connection(*self.gateway.address())
        try:
            writer.write(request_bytes(self.path, headers=headers))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"\r\ncontent-type: text/event-stream\r\n" in head
            rest = ""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                *lines, rest = (rest + (await reader.readexactly(size + 2))[:-2].decode()).split("\n")
                for line in lines:
                    yield line
        finally:
            writer.close()


def chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


def upstreams(port: int) -> dict[str, dict[str, object]]:
    target = {"url": f"http://127.0.0.1:{port}", "allow_plaintext": True, "allow_private": True}
    return {"plain": target, "api": {**target, "credential": "bot"}}


async def test_an_event_source_hears_each_event_before_the_next_is_made_and_comes_back_where_it_left(tmp_path: Path) -> None:
    second, third = asyncio.Event(), asyncio.Event()
    first_time: Script = [
        *(READ, START + chunk(": hello\n\nretry: 1\nid: 1\ndata: a\n\n")),
        *(second, chunk("id: 2\nevent: news\nda"), chunk("ta: b\ndata: c\n\n"), b"0\r\n\r\n"),
    ]
    async with Scripted(first_time, [READ, START, third, chunk("id: 3\ndata: d\n\n"), asyncio.Event()]) as upstream:
        async with house(tmp_path, upstreams=upstreams(upstream.port)) as gateway:
            source = EventSource(gateway, "/public/events")
            events = source.events()
            async with asyncio.timeout(60):
                assert await anext(events) == Event("message", ["a"], "1")
                second.set()
                assert await anext(events) == Event("news", ["b", "c"], "2")
                third.set()
                assert await anext(events) == Event("message", ["d"], "3")
            assert source.connections == 2
            assert upstream.seen[1].all(b"last-event-id") == [b"2"]
            await events.aclose()


async def test_pieces_of_many_streams_leave_at_once_while_others_wait(tmp_path: Path) -> None:
    """Each stream's next piece is made only after its client has read the one before: one that was held would stop it for good."""
    steps = [[asyncio.Event() for _ in range(5)] for _ in range(MANY)]
    piece = chunk("data: x\n\n")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        writer.write(START)
        for event in steps[int(target.rpartition(b"/")[2])]:
            await event.wait()
            writer.write(piece)
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, house(tmp_path, upstreams=upstreams(server.sockets[0].getsockname()[1])) as gateway:

        async def follow(number: int) -> None:
            reader, writer = await asyncio.open_connection(*gateway.address())
            writer.write(request_bytes(f"/public/{number}"))
            await reader.readuntil(b"\r\n\r\n")
            for event in steps[number]:
                event.set()
                assert await reader.readexactly(len(piece)) == piece
            assert await reader.readexactly(5) == b"0\r\n\r\n"
            writer.close()

        async with asyncio.timeout(20):
            await asyncio.gather(*[follow(number) for number in range(MANY)])


async def test_every_piece_is_written_in_the_turn_that_brings_it(tmp_path: Path) -> None:
    """With many in flight, whole answers wait for the end of the turn; pieces of streams never do."""
    release = asyncio.Event()
    busy: Script = [HEAD, release, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]
    piece = asyncio.Event()
    stream: Script = [READ, START, chunk("data: 1\n\n"), piece, chunk("data: 2\n\n"), b"0\r\n\r\n"]
    async with Scripted(stream, busy) as upstream, house(tmp_path, upstreams=upstreams(upstream.port)) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.address())
        writer.write(request_bytes("/public/events"))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(chunk("data: 1\n\n"))) == chunk("data: 1\n\n")
        waiting = [asyncio.create_task(gateway.get(f"/public/{number}")) for number in range(MANY)]
        await upstream.until_seen(MANY + 1)
        piece.set()
        async with asyncio.timeout(60):
            assert await reader.readexactly(len(chunk("data: 2\n\n"))) == chunk("data: 2\n\n")
        release.set()
        assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}
        writer.close()


async def test_a_client_that_leaves_a_stream_ends_it_at_the_upstream_and_in_the_trail(tmp_path: Path) -> None:
    async with Scripted([READ, START, chunk("data: 1\n\n")]) as upstream:
        async with house(tmp_path, upstreams=upstreams(upstream.port)) as gateway:
            events = EventSource(gateway, "/public/events").events()
            assert (await anext(events)).data == ["1"]
            await events.aclose()
            await upstream.until_closed(1)

            async def written() -> bool:
                return bool(await gateway.requests())

            await until(written, "no audit event was written")
