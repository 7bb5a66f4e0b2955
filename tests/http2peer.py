"""The other end of an HTTP/2 connection, frame by frame, as polite or as rude as a test wants it. Client or server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from hpack import Decoder, Encoder

PATIENCE = 60.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CALM = 5, 6, 7, 8, 9, 11

Fields = Sequence[tuple[str, str] | tuple[bytes, bytes]]


def framed(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def setting(name: int, value: int) -> bytes:
    return name.to_bytes(2, "big") + number(value)


def ask(path: str = "/", *more: tuple[str, str], method: str = "GET", authority: str = "gw.test") -> Fields:
    """The head of a request."""
    return [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *more]


class Heard:
    """What came on one stream."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[str, str]]] = []
        self.body = b""
        self.pieces: list[bytes] = []
        self.ended = False
        self.reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def final(self) -> list[tuple[str, str]]:
        """The head of the final answer, or of the request."""
        return next(head for head in self.heads if not dict(head).get(":status", "200").startswith("1"))

    @property
    def trailers(self) -> list[tuple[str, str]]:
        return self.heads[-1] if self.heads[-1] is not self.final else []

    @property
    def status(self) -> int:
        return int(dict(self.final)[":status"])

    def __getitem__(self, name: str) -> str:
        return dict(self.final)[name]


class Peer:
    """A connection that remembers what it heard. `polite`: it acknowledges settings and gives windows back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, polite: bool = True) -> None:
        self.reader = reader
        self.writer = writer
        self.polite = polite
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.streams: dict[int, Heard] = {}
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.goaways: list[tuple[int, int]] = []
        self.pongs = 0
        self.closed = False
        self.changed = asyncio.Event()
        self._block = b""
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(
        cls, host: str, port: int, *, polite: bool = True, tls: ssl.SSLContext | None = None, settings: bytes = b""
    ) -> Self:
        """A client's connection that has said hello."""
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname="localhost" if tls else None)
        peer = cls(reader, writer, polite=polite)
        peer.write(PREFACE + framed(SETTINGS, 0, 0, settings))
        return peer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.write(framed(kind, flags, stream, payload))

    def head(self, stream: int, fields: Fields, *, end: bool = True) -> None:
        block = self.encoder.encode(fields)
        first, rest = block[:16384], block[16384:]
        self.send(HEADERS, (0 if rest else END_HEADERS) | (END_STREAM if end else 0), stream, first)
        while rest:
            piece, rest = rest[:16384], rest[16384:]
            self.send(CONTINUATION, 0 if rest else END_HEADERS, stream, piece)

    def data(self, stream: int, payload: bytes, *, end: bool = True) -> None:
        self.send(DATA, END_STREAM if end else 0, stream, payload)

    def reset(self, stream: int, code: int = CANCEL) -> None:
        self.send(RST_STREAM, 0, stream, number(code))

    def window(self, stream: int, by: int) -> None:
        self.send(WINDOW_UPDATE, 0, stream, number(by))

    async def until(self, question: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not question():
                assert not self.closed or question(), f"closed, goaways {self.goaways}"
                self.changed.clear()
                await self.changed.wait()

    async def answer(self, stream: int) -> Heard:
        """What was heard on a stream, once it is over."""
        await self.until(lambda: stream in self.streams and self.streams[stream].over)
        return self.streams[stream]

    async def ask(self, stream: int, fields: Fields, body: bytes | None = None) -> Heard:
        self.head(stream, fields, end=body is None)
        if body is not None:
            self.data(stream, body)
        return await self.answer(stream)

    async def end(self) -> int | None:
        """Wait for the end of the connection; the last GOAWAY's code."""
        async with asyncio.timeout(PATIENCE):
            await self._reading
        return self.goaways[-1][1] if self.goaways else None

    async def close(self) -> None:
        self.writer.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
                self.changed.set()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self.closed = True
            self.changed.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.frames.append((kind, flags, stream, payload))
        heard = self.streams.setdefault(stream, Heard()) if stream else Heard()
        if kind in (HEADERS, CONTINUATION):
            self._block += payload
            if flags & END_HEADERS:
                heard.heads.append([(str(name), str(value)) for name, value in self.decoder.decode(self._block)])
                self._block = b""
            heard.ended |= kind == HEADERS and bool(flags & END_STREAM)
        elif kind == DATA:
            heard.body += payload
            heard.pieces.append(payload)
            heard.ended |= bool(flags & END_STREAM)
            if self.polite and payload:
                self.window(0, len(payload))
                if not heard.ended:
                    self.window(stream, len(payload))
        elif kind == RST_STREAM:
            heard.reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK and self.polite:
            self.send(SETTINGS, ACK, 0)
        elif kind == PING:
            self.pongs += bool(flags & ACK)
            if self.polite and not flags & ACK:
                self.send(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))


@asynccontextmanager
async def peer(address: tuple[str, int], **options: Any) -> AsyncIterator[Peer]:
    """A client's connection, closed at the end."""
    made = await Peer.connect(*address, **options)
    try:
        yield made
    finally:
        await made.close()


class Http2Server:
    """An upstream that speaks HTTP/2. `answer` is told of each stream once its request is over, or at its head where `early`."""

    def __init__(
        self, answer: Callable[[Peer, int, Heard], None], *, early: bool = False, settings: bytes = b"", tls: Any = None
    ) -> None:
        self.answer = answer
        self.early = early
        self.settings = settings
        self.tls = tls
        self.peers: list[Peer] = []
        self.seen: list[Heard] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer_ in self.peers:
            await peer_.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(len(PREFACE)) == PREFACE
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        served = Peer(reader, writer)
        self.peers.append(served)
        served.send(SETTINGS, 0, 0, self.settings)
        answered: set[int] = set()
        while not served.closed:
            served.changed.clear()
            for stream, heard in list(served.streams.items()):
                if stream not in answered and heard.heads and (heard.ended or self.early) and heard.reset is None:
                    answered.add(stream)
                    self.seen.append(heard)
                    self.answer(served, stream, heard)
            await served.changed.wait()
        writer.close()


def saying(body: bytes = b"ok", *fields: tuple[str, str], status: int = 200) -> Callable[[Peer, int, Heard], None]:
    """An answer in one go."""

    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", str(status)), *fields], end=not body)
        if body:
            served.data(stream, body)

    return answer
