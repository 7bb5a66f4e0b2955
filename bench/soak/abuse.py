"""Abusive clients, bounded in number and rate. What they are answered is held against the audit trail like every answer."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from bench.soak.wire import BROKEN, Line, heads
from bench.soak.world import World

HOST = b"Host: localhost\r\n"
FLOOD = 100
"""Connections of one flood."""
AGAIN = b"GET /open/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED: dict[str, bytes] = {
    "both lengths": b"POST /open/x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + AGAIN,
    "two lengths": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 51\r\n\r\n" + AGAIN,
    "disguised chunked": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + AGAIN,
    "blank before the colon": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Content-Length : 51\r\n\r\n" + AGAIN,
    "folded": b"GET /open/x HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c: d\r\n\r\n" + AGAIN,
    "signed length": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Content-Length: +0\r\n\r\n" + AGAIN,
    "bad chunk": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nA\r\n0\r\n\r\n" + AGAIN,
    "bare line feed": b"GET /open/x HTTP/1.1\nHost: localhost\n\n" + AGAIN,
    "no host": b"GET /open/smuggled HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /open/x HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + AGAIN,
    "huge header": b"GET /open/x HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /open/x HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" * 5000 + b"\r\n",
    "long line": b"GET /open/" + b"a" * 50_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "huge length": b"POST /open/x HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999\r\n\r\n",
    "another version": b"GET /open/x HTTP/3.7\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS to plain": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
}
"""Each must get nothing, or an answer of 400 to 505; what follows must not be read as a request."""


async def raw(
    world: World, kind: str, sent: bytes, *, number: int = 0, wait: float = 4.0, hard: bool = False, least: int = 400
) -> None:
    """Send bytes, take what comes for a while, go, with a reset where `hard`. Answers below `least` are wrong."""
    line, received = world.line(number), b""
    with contextlib.suppress(*BROKEN):
        await line.send(sent)
        reader, _ = await line.ends()
        async with asyncio.timeout(wait):
            while len(received) < 1 << 20 and (more := await reader.read(65536)):
                received += more
    line.close(hard=hard)
    for answer in heads(received):
        world.ledger.answered(f"abuse {kind}", answer.request, answer.status)
        if answer.status < least:
            world.ledger.complain(f"abuse {kind}", f"answered {answer.status} ({answer.request})")


async def offender(world: World) -> None:
    """One broken or ambiguous request after the other."""
    kinds = list(REFUSED)
    async for turn in world.every(0.25):
        kind = kinds[turn % len(kinds)]
        await raw(world, kind, REFUSED[kind], number=turn // len(kinds), wait=2)


async def impostor(world: World) -> None:
    """Connects where load balancers do, and does not say for whom, or lies in form: nobody may answer it."""
    request = b"GET /open/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    lies = (b"", b"PROXY TCP4 192.0.2.1\r\n", b"PROXY UNKNOWN " + b"a" * 200 + b"\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff")
    async for turn in world.every(0.7):
        line = Line(world.site.balanced)
        with contextlib.suppress(*BROKEN):
            await line.send(lies[turn % len(lies)] + request)
            reader, _ = await line.ends()
            async with asyncio.timeout(2):
                received = await reader.read(1000)
            if received:
                world.ledger.complain("abuse impostor", f"answered {received[:60]!r}")
        world.ledger.kinds["abuse impostor"] += 1
        line.close()


async def babbler(world: World) -> None:
    """Random bytes, and halves of requests that are left at once."""
    whole = b"POST /open/x HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n" + b"a" * 200
    async for turn in world.every(0.3):
        if turn % 2:
            await raw(
                world, "garbage", world.chance.randbytes(world.chance.randrange(1, 3000)) + b"\r\n\r\n", number=turn // 2, wait=2
            )
        else:
            cut = world.chance.randrange(1, len(whole))
            await raw(world, "half", whole[:cut], number=turn // 2, wait=0.2, hard=turn % 4 == 0)


async def slowloris(world: World) -> None:
    """A head that comes byte by byte; the gateway must end it."""
    async for turn in world.every(0.5):
        line = world.line(turn)
        with contextlib.suppress(*BROKEN):
            await line.send(b"GET /open/x HTTP/1.1\r\n" + HOST)
            for number in range(12):
                if not await world.pause(0.5):
                    break
                await line.send(b"X" if number % 2 else b"a: b\r\n")
            else:
                reader, _ = await line.ends()
                async with asyncio.timeout(1):
                    for answer in heads(await reader.read()):
                        world.ledger.answered("abuse slowloris", answer.request, answer.status)
        line.close()


async def leaver(world: World) -> None:
    """Asks for megabytes and goes away in the middle, or reads next to nothing."""
    async for turn in world.every(0.7):
        line, token = world.line(turn), world.token()
        with contextlib.suppress(*BROKEN):
            await line.send(f"GET /open/{token}?size=3000000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = await line.head()
            world.ledger.answered("abuse leaver", answer.request, answer.status)
            if turn % 3 == 0:
                await world.pause(6)
        line.close(hard=turn % 2 == 0)


async def flooder(world: World) -> None:
    """Many connections at a time, some with a request each, all left at once."""
    request = b"GET /open/flood?size=10 HTTP/1.1\r\n" + HOST + b"\r\n"
    async for turn in world.every(8):
        sent = request if turn % 2 else b""
        await asyncio.gather(*(raw(world, "flood", sent, wait=1, hard=turn % 3 == 0, least=200) for _ in range(FLOOD)))


def cast(world: World) -> list[Coroutine[Any, Any, None]]:
    return [
        offender(world),
        impostor(world),
        babbler(world),
        *(slowloris(world) for _ in range(4)),
        leaver(world),
        leaver(world),
        flooder(world),
    ]
