"""WebSocket frames as they stand on the wire, made and read by hand (RFC 6455 5.2), and the raw handshake."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The pair of RFC 6455 1.3."""
MASK = b"\x11\x22\x33\x44"


def frame(
    payload: bytes = b"",
    *,
    kind: int = BINARY,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    width: int | None = None,
    length: int | None = None,
) -> bytes:
    """One frame. `width` forces how many bytes the extended length has, `length` what it claims."""
    size = len(payload) if length is None else length
    width = (0 if size < 126 else 2 if size < 65536 else 8) if width is None else width
    head = bytes([(0x80 if final else 0) | reserved << 4 | kind])
    head += bytes([(0x80 if masked else 0) | (size if not width else 126 if width == 2 else 127)])
    head += size.to_bytes(width, "big") if width else b""
    if not masked:
        return head + payload
    return head + MASK + bytes(octet ^ MASK[place % 4] for place, octet in enumerate(payload))


def closing(code: int | None = 1000, reason: bytes = b"", *, masked: bool = True) -> bytes:
    return frame(b"" if code is None else code.to_bytes(2, "big") + reason, kind=CLOSE, masked=masked)


@dataclass
class Frame:
    """One frame as it was read, its payload without the mask."""

    kind: int
    final: bool
    masked: bool
    payload: bytes

    @property
    def code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises IncompleteReadError at the end."""
    async with asyncio.timeout(60):
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        mask = await reader.readexactly(4) if second & 0x80 else b"\0\0\0\0"
        payload = await reader.readexactly(length)
    return Frame(first & 0xF, first >= 0x80, bool(second & 0x80), bytes(o ^ mask[i % 4] for i, o in enumerate(payload)))


def handshake(path: str = "/public/x", *lines: str, key: bytes = KEY, without: str = "") -> bytes:
    """A client's opening handshake; `lines` replace those of the same name or are added, the field `without` is left out."""
    fields = {
        "host": "Host: gw.test",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
        "sec-websocket-key": f"Sec-WebSocket-Key: {key.decode()}",
    }
    added = []
    for line in lines:
        name = line.partition(":")[0].lower()
        if name in fields:
            fields[name] = line
        else:
            added.append(line)
    fields.pop(without, None)
    return "\r\n".join([f"GET {path} HTTP/1.1", *fields.values(), *added, "", ""]).encode("latin-1")


def accept_of(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())


def switching(key: bytes, *lines: bytes, without: bytes = b"") -> bytes:
    """A server's 101; `lines` replace those of the same name or are added, the field `without` is left out."""
    fields = {
        b"upgrade": b"Upgrade: websocket",
        b"connection": b"Connection: Upgrade",
        b"sec-websocket-accept": b"Sec-WebSocket-Accept: " + accept_of(key),
    }
    added = [line for line in lines if line.partition(b":")[0].lower() not in fields]
    fields |= {name: line for line in lines if (name := line.partition(b":")[0].lower()) in fields}
    fields.pop(without, None)
    return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *fields.values(), *added, b"", b""])


@dataclass
class Side:
    """One end of a tunnel, spoken to byte by byte. `head` is what the gateway said before the frames."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""

    async def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def frame(self) -> Frame:
        return await read_frame(self.reader)

    async def rest(self) -> bytes:
        """Everything until the connection ends; a reset counts as an end."""
        received = b""
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    received += data
        return received

    def close(self) -> None:
        self.writer.close()


Answer = Callable[[bytes], bytes]


class RawUpstream:
    """A server that answers each handshake with what `answer` makes of its key, and hands the connection to the test."""

    def __init__(self, answer: Answer = switching) -> None:
        self.answer = answer
        self.port = 0
        self.opened = 0
        self._sides: asyncio.Queue[Side] = asyncio.Queue()
        self._all: list[Side] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for side in self._all:
            side.close()

    async def side(self) -> Side:
        async with asyncio.timeout(60):
            return await self._sides.get()

    async def connected(self, address: tuple[str, int]) -> Side:
        """A client's connection to the gateway, closed with the server."""
        side = Side(*await asyncio.open_connection(*address))
        self._all.append(side)
        return side

    async def asked(self, address: tuple[str, int], request: bytes | None = None) -> Side:
        """A client's connection on which a handshake was sent; `head` is the answer's."""
        side = await self.connected(address)
        await side.send(request if request is not None else handshake())
        async with asyncio.timeout(60):
            side.head = await side.reader.readuntil(b"\r\n\r\n")
        return side

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            [key] = [
                line.partition(b":")[2].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")
            ]
            side = Side(reader, writer, head)
            self._all.append(side)
            writer.write(self.answer(key))
            self._sides.put_nowait(side)


def status_of(head: bytes) -> int:
    return int(head.split(b" ")[1])
