"""What it costs to search answers for an injected credential: `python -m bench.scrub`.

MB a second of processor time of a body sent over loopback, and the ratio to sending it unsearched in the same run; then microseconds
for one small answer, which comes whole.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final
from urllib.parse import quote

from gateway.scrub.needles import Needles
from gateway.scrub.scrubber import Scrubber
from gateway.scrub.stream import ScrubbedStream

TOKEN: Final = b"ghp_" + b"aB3dE6gH9" * 4
FOUND: Final[list[int]] = []
SIZE: Final = 64 * 1024
PIECES: Final = 200
ROUNDS: Final = 5
RECORD: Final = {
    "id": 1,
    "url": "https://api.example.com/repos/a/b",
    "name": 'say "hello"\n',
    "text": "lorem ipsum dolor sit amet " * 4,
}


def bodies() -> dict[str, bytes]:
    """Kinds of bodies, each of at least SIZE bytes."""
    page = b'<li><a href="/x?a=1&amp;b=%20">Tom &#39;n&#39; Jerry</a> some text goes here and some more of it</li>\n'
    return {
        "JSON": json.dumps([RECORD] * 400).encode(),
        "JSON as PHP writes it": json.dumps([RECORD] * 400).replace("/", "\\/").encode(),
        "HTML": page * 800,
        "base64": base64.b64encode(os.urandom(SIZE)),
        "random bytes": os.urandom(SIZE),
        "nothing but escapes": quote(os.urandom(SIZE), safe="").replace("%", "%4").encode(),
    }


async def given(piece: bytes) -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield piece


async def seconds(body: bytes, needles: Needles | None) -> float:
    """To take PIECES of a body over loopback from a server that searches them, where there is something to look for."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source: AsyncIterator[bytes] = given(body[:SIZE])
        if needles is not None:
            source = ScrubbedStream(source, Scrubber((needles,)), FOUND.append)
        async for piece in source:
            writer.write(piece)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        begun = time.process_time()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        while await reader.read(SIZE):
            pass
        writer.close()
        return time.process_time() - begun


def timed(body: bytes, needles: Needles | None) -> float:
    return asyncio.run(seconds(body, needles))


def best(measured: Callable[[], float]) -> float:
    return min(measured() for _ in range(ROUNDS))


def small(needles: Needles) -> float:
    """Microseconds for an answer of a kilobyte."""
    body = json.dumps([RECORD] * 5).encode()[:1024]
    begun = time.process_time()
    for _ in range(20_000):
        needles.occur(body, needles.in_bodies)
    return (time.process_time() - begun) / 20_000 * 1e6


def main() -> None:
    needles = Needles(TOKEN)
    size = SIZE * PIECES / 1e6
    for kind, body in bodies().items():
        plain = best(partial(timed, body, None))
        searched = best(partial(timed, body, needles))
        print(f"{kind}: {size / searched:.0f} MB/s, {plain / searched:.2f} of {size / plain:.0f} MB/s")
    print(f"a small answer: {best(lambda: small(needles)):.2f} us; needles made: once a secret")


if __name__ == "__main__":
    main()
