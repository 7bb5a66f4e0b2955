"""An upstream target of the soak: what it answers can be worked out from what was asked, so that a client can check every byte.

    python -m bench.soak.upstream PORT FOLDER

Whoever reaches it without the gateway's credential, or with a path that only a smuggler asks for, is written to FOLDER/intruders.
"""

import asyncio
import base64
import contextlib
import hashlib
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.soak.wire import fields
from tests.frames import CLOSE, KEY, frame, read_frame

CREDENTIAL = "soak-upstream-credential-0123456789"
PIECE = 64 * 1024
QUOTA, PERIOD = 12, 10
"""Requests to /metered/ that one target answers in so many seconds."""
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def payload(token: str, size: int) -> bytes:
    """The body that belongs to a token."""
    unit = f"{token}|{hashlib.sha256(token.encode()).hexdigest()}\n".encode()
    return (unit * (size // len(unit) + 1))[:size]


def receipt(token: str, body: bytes) -> bytes:
    """What an upload is answered with."""
    return f"{token} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()


def event(token: str, number: int) -> bytes:
    return f"id: {number}\ndata: {token} {number}\n\n".encode()


class Target:
    """One server; `intruders` is where it tells what should never have come."""

    def __init__(self, intruders: Path) -> None:
        self._intruders = intruders
        self._window = self._spent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, TimeoutError):
            while await self._exchange(reader, writer):
                await writer.drain()
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, _, lines = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ")
        asked, head = urlsplit(target), fields(lines)
        if asked.path == "/health":
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        if "smuggled" in target or head.get("authorization") != f"Bearer {CREDENTIAL}":
            with self._intruders.open("ab") as file:
                file.write(first + b"\n")
        body = await uploaded(reader, head)
        token = asked.path.rpartition("/")[2]
        query = {name: int(values[0]) for name, values in parse_qs(asked.query).items()}
        subject = head.get("x-gateway-subject", "")
        if head.get("upgrade", "").lower() == "websocket":
            await echo(reader, writer, token, head.get("sec-websocket-key", KEY.decode()).encode())
            return False
        if "/metered/" in asked.path:
            self._meter(writer, token, query, subject)
        elif "/events/" in asked.path:
            await events(writer, token, query["count"], subject)
        else:
            answer(
                writer,
                payload(token, query.get("size", 0)) if method == "GET" else receipt(token, body),
                subject,
                "chunked" in query,
            )
        return True

    def _meter(self, writer: asyncio.StreamWriter, token: str, query: dict[str, int], subject: str) -> None:
        """Answer out of a quota, and say what is left of it."""
        window, left = int(time.time()) // PERIOD, PERIOD - int(time.time()) % PERIOD
        self._spent = self._spent + 1 if window == self._window else 1
        self._window = window
        told = (
            f"X-RateLimit-Limit: {QUOTA}\r\nX-RateLimit-Remaining: {max(0, QUOTA - self._spent)}\r\nX-RateLimit-Reset: {left}\r\n"
        )
        if self._spent > QUOTA:
            refused = f"HTTP/1.1 429 Too Many Requests\r\nX-Soak-Subject: {subject}\r\n{told}Retry-After: {left}\r\nContent-Length: 0\r\n\r\n"
            writer.write(refused.encode())
        else:
            answer(writer, payload(token, query.get("size", 0)), subject, chunked=False, more=told)


async def uploaded(reader: asyncio.StreamReader, head: dict[str, str]) -> bytes:
    if head.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(head.get("content-length", "0")))
    found = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return found


def answer(writer: asyncio.StreamWriter, body: bytes, subject: str, chunked: bool, more: str = "") -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Soak-Subject: {subject}\r\n{more}"
    if not chunked:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for start in range(0, len(body), PIECE):
        piece = body[start : start + PIECE]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    writer.write(b"0\r\n\r\n")


async def events(writer: asyncio.StreamWriter, token: str, count: int, subject: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Soak-Subject: {subject}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    for number in range(count):
        piece = event(token, number)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.write(b"0\r\n\r\n")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, key: bytes) -> None:
    """A WebSocket: the token first, then every message back."""
    accepted = hashlib.sha1(key + GUID, usedforsecurity=False).digest()
    writer.write(UPGRADED + base64.b64encode(accepted) + b"\r\n\r\n" + frame(token.encode(), masked=False))
    while True:
        await writer.drain()
        each = await read_frame(reader)
        writer.write(frame(each.payload, kind=each.kind, masked=False))
        if each.kind == CLOSE:
            await writer.drain()
            return


async def main(port: int, folder: Path) -> None:
    target = Target(folder / "intruders")
    server = await asyncio.start_server(target.serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
