"""An upstream that nginx cannot be: it takes a whole upload before it answers, and it sends events that say when they were sent.

    python -m bench.stream PORT

GET  …: server-sent events without end, one every `INTERVAL` seconds; the text of each is the monotonic clock in nanoseconds.
POST …: the body is counted and thrown away; the answer is its length.
"""

import asyncio
import re
import sys
import time
from typing import cast

INTERVAL = 0.002
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Sink(asyncio.BufferedProtocol):
    """One connection. Requests come one after the other, bodies with Content-Length or in chunks."""

    def __init__(self) -> None:
        self.buffer = bytearray(1 << 20)
        self.head = b""
        self.left = 0
        self.taken = 0
        self.tail = b""
        self.chunked = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.left or self.chunked:
            self.body(nbytes, bytes(self.buffer[max(0, nbytes - 5) : nbytes]))
            return
        self.head += bytes(self.buffer[:nbytes])
        if (end := self.head.find(b"\r\n\r\n")) >= 0:
            head, rest = self.head[: end + 2], self.head[end + 4 :]
            self.head = b""
            self.begin(head, rest)

    def begin(self, head: bytes, rest: bytes) -> None:
        if head.startswith(b"GET"):
            self.task = asyncio.ensure_future(self.events())
            return
        length = LENGTH.search(head)
        self.left, self.taken, self.tail = int(length[1]) if length else 0, 0, b""
        self.chunked = length is None
        if rest or not (self.left or self.chunked):
            self.body(len(rest), rest[-5:])

    def body(self, count: int, last: bytes) -> None:
        self.taken += count
        self.left = max(0, self.left - count)
        self.tail = (self.tail + last)[-5:]
        if self.left or (self.chunked and self.tail != b"0\r\n\r\n"):
            return
        self.chunked = False
        text = b"%d" % self.taken
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    async def events(self) -> None:
        self.transport.write(EVENTS)
        while True:
            await asyncio.sleep(INTERVAL)
            event = b"data: %d\n\n" % time.monotonic_ns()
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))

    def connection_lost(self, error: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
