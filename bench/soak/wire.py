"""HTTP/1.1 by hand, as a client: one connection kept alive, answers read exactly, whatever cuts them off."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

PATIENCE = 45.0
"""Seconds after which an answer that has not come is counted as broken off."""
BROKEN = (OSError, EOFError, TimeoutError, ssl.SSLError, ValueError)
HEADS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


@dataclass(slots=True)
class Answer:
    """One answer. Where it was cut off, `body` is what came of it and `whole` is false."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    whole: bool = False

    @property
    def request(self) -> str | None:
        return self.fields.get("x-request-id")


def heads(received: bytes) -> list[Answer]:
    """Every final answer's head in what an abusive client received."""
    return [Answer(int(status), fields(lines)) for status, lines in HEADS.findall(received) if status[:1] != b"1"]


def fields(lines: bytes) -> dict[str, str]:
    pairs = (line.partition(": ") for line in lines.decode("latin-1").split("\r\n"))
    return {name.lower(): value for name, _, value in pairs if name}


@dataclass(slots=True)
class Line:
    """A connection to the gateway, opened when it is needed and thrown away after a failure; `first` is what it begins with.

    A client of another protocol (HTTP/2) would be another class with these methods, chosen in `World.line`.
    """

    port: int
    context: ssl.SSLContext | None = None
    first: bytes = b""
    _ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def ends(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends is None:
            name = "localhost" if self.context else None
            async with asyncio.timeout(PATIENCE):
                self._ends = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname=name)
            self._ends[1].write(self.first)
        return self._ends

    async def send(self, head: bytes, *body: bytes) -> None:
        """Write a request. Raises BROKEN."""
        _, writer = await self.ends()
        async with asyncio.timeout(PATIENCE):
            writer.write(head)
            for piece in body:
                writer.write(piece)
                await writer.drain()

    async def head(self) -> Answer:
        """The head of the next final answer. Raises BROKEN."""
        reader, _ = await self.ends()
        async with asyncio.timeout(PATIENCE):
            while True:
                first, _, lines = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
                if first[9:10] != b"1" or first[9:12] == b"101":
                    return Answer(int(first[9:12]), fields(lines))

    async def body(self, answer: Answer) -> None:
        """Read what belongs to a head; a cut leaves the answer not whole and closes the connection."""
        reader, _ = await self.ends()
        try:
            async with asyncio.timeout(PATIENCE):
                if answer.fields.get("transfer-encoding") == "chunked":
                    answer.body = await chunks(reader, answer)
                else:
                    answer.body = await reader.readexactly(int(answer.fields.get("content-length", "0")))
            answer.whole = True
        except BROKEN as error:
            answer.body += getattr(error, "partial", b"")
        if not answer.whole or answer.fields.get("connection", "").lower() == "close":
            self.close()

    def close(self, *, hard: bool = False) -> None:
        if self._ends is not None:
            transport = self._ends[1].transport
            if hard:
                transport.abort()
            else:
                self._ends[1].close()
            self._ends = None


async def chunks(reader: asyncio.StreamReader, answer: Answer) -> bytes:
    """A chunked body without its framing; what came before a cut is left in the answer."""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        answer.body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return answer.body
