"""Honest clients: each asks for something only it asked for, and checks that it got exactly that."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from bench.soak.site import BANNED, PRINCIPALS
from bench.soak.upstream import event, payload, receipt
from bench.soak.wire import BROKEN, Answer, Line
from bench.soak.world import World
from tests.frames import CLOSE, closing, frame, read_frame

OK = frozenset({200})
NOTICED = 6.0
"""Seconds after which a revoked key must not be accepted any more, and a new one must be."""


class Client:
    """One client with one connection, and the name it is known by."""

    def __init__(self, world: World, kind: str, number: int) -> None:
        self.world, self.kind, self.number = world, kind, number
        self.line: Line = world.line(number)
        self.subject = f"client-{number % PRINCIPALS}"

    def bearer(self, subject: str) -> str:
        return f"Authorization: Bearer {self.world.site.tokens[subject]}\r\n"

    async def ask(
        self,
        target: str,
        *,
        fields: str | None = None,
        body: bytes | None = None,
        chunked: bool = False,
        allowed: frozenset[int] = OK,
    ) -> Answer | None:
        """Send a request and judge its answer's status; the answer where its body must be right. It may be not whole for a fault."""
        ledger, begun = self.world.ledger, time.monotonic()
        found: Answer | None = None
        with contextlib.suppress(*BROKEN):
            await self.send(target, self.bearer(self.subject) if fields is None else fields, body, chunked=chunked)
            found = await self.line.head()
            ledger.answered(self.kind, found.request, found.status)
            await self.line.body(found)
        if found is None or not found.whole:
            self.line.close()
        status = found.status if found is not None else None
        if not ledger.judge(self.kind, status, allowed, begun, request=found.request if found else None):
            return None
        assert found is not None
        return found if found.whole or not ledger.judge(self.kind, None, allowed, begun, request=found.request) else None

    async def send(self, target: str, fields: str, body: bytes | None, *, chunked: bool) -> None:
        method = "GET" if body is None else "POST"
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}"
        if body is None:
            await self.line.send(f"{head}\r\n".encode())
        elif chunked:
            cut = len(body) // 2
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]) if piece]
            await self.line.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *pieces, b"0\r\n\r\n")
        else:
            await self.line.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)

    def check(self, answer: Answer | None, body: bytes, subject: str | None = None) -> None:
        """The body must be this, or its beginning where a fault cut it; the upstream must have been told this subject."""
        if answer is None or answer.status != 200:
            return
        right = answer.body == body if answer.whole else body.startswith(answer.body)
        if not right:
            self.world.ledger.complain(
                self.kind, f"{answer.request}: {len(answer.body)} bytes {answer.body[:60]!r}, not {body[:60]!r}"
            )
        told = answer.fields.get("x-soak-subject")
        if subject is not None and told != subject:
            self.world.ledger.complain(self.kind, f"{answer.request}: the upstream was told {told}, not {subject}")
        if answer.fields.get("x-soak") not in {"a", "b"}:
            self.world.ledger.complain(self.kind, f"{answer.request}: X-Soak is {answer.fields.get('x-soak')}")


async def getter(client: Client) -> None:
    """Varying GETs of varying principals over one connection."""
    world = client.world
    async for turn in world.every(0.08):
        client.subject = f"client-{(client.number * 31 + turn) % PRINCIPALS}"
        token, size = world.token(), world.chance.choice((0, 1, 100, 1024, 20_000))
        more = "&chunked=1" if turn % 3 == 0 else ""
        answer = await client.ask(f"/api/items/{token}?size={size}{more}")
        client.check(answer, payload(token, size), f"corp:{client.subject}")
        if turn % 50 == 49:
            client.line.close()


async def poster(client: Client) -> None:
    """Bodies of all sizes, with a length and in chunks."""
    world = client.world
    async for turn in world.every(0.3):
        token, size = world.token(), world.chance.choice((0, 10, 2000, 70_000, 1_000_000))
        body = payload(f"up-{token}", size)
        answer = await client.ask(f"/api/items/{token}", body=body, chunked=turn % 2 == 0)
        client.check(answer, receipt(token, body), f"corp:{client.subject}")


async def downloader(client: Client) -> None:
    """Megabytes at a time."""
    world = client.world
    async for turn in world.every(2.5):
        token, size = world.token(), world.chance.randrange(1 << 20, 4 << 20)
        answer = await client.ask(f"/api/items/{token}?size={size}" + ("&chunked=1" if turn % 2 else ""))
        client.check(answer, payload(token, size), f"corp:{client.subject}")


async def listener(client: Client) -> None:
    """Server-sent events."""
    world = client.world
    async for _ in world.every(0.5):
        token, count = world.token(), world.chance.randrange(1, 60)
        answer = await client.ask(f"/api/events/{token}?count={count}")
        client.check(answer, b"".join(event(token, number) for number in range(count)), f"corp:{client.subject}")


async def stranger(client: Client) -> None:
    """Who may not, is not known, or asks for nothing that is there; and who needs no name."""
    world = client.world
    forged = world.site.tokens["client-1"][:-8] + "AAAAAAAA"
    refused = (("", 401), (f"Authorization: Bearer {forged}\r\n", 401), (client.bearer(BANNED), 403))
    async for turn in world.every(0.3):
        token = world.token()
        fields, status = refused[turn % 3]
        await client.ask(f"/api/items/{token}?size=10", fields=fields, allowed=frozenset({status}))
        await client.ask(f"/nothing/{token}", allowed=frozenset({404}))
        client.check(await client.ask(f"/open/{token}?size=300", fields=""), payload(token, 300))


async def hasty(client: Client) -> None:
    """More requests than its limit allows."""
    async for _ in client.world.every(0.5):
        token = client.world.token()
        answer = await client.ask(f"/api/tight/{token}?size=10", allowed=frozenset({200, 429}))
        client.check(answer, payload(token, 10))


async def metered(client: Client) -> None:
    """An API that says what is left of its quota, and refuses beyond: the gateway pauses before."""
    async for _ in client.world.every(0.4):
        token = client.world.token()
        answer = await client.ask(f"/api/metered/{token}?size=10", allowed=frozenset({200, 429}))
        client.check(answer, payload(token, 10))


async def key_user(client: Client) -> None:
    """API keys that live, and some that were taken back."""
    world = client.world
    async for _ in world.every(0.2):
        if not world.keys:
            continue
        key = world.chance.choice(list(world.keys))
        made, revoked, now = float(key.partition("@")[2]), world.keys[key], time.monotonic()
        allowed = OK if revoked is None else frozenset({401}) if now > revoked + NOTICED else frozenset({200, 401})
        if now < made + NOTICED:
            allowed |= {401}
        token = world.token()
        begun_valid = f"X-Api-Key: {key.partition('@')[0]}\r\n"
        answer = await client.ask(
            f"/api/items/{token}?size=10", fields=begun_valid, allowed=allowed | ({401} if world.keys[key] else set())
        )
        client.check(answer, payload(token, 10))


async def talker(client: Client) -> None:
    """WebSockets: the token first, then every message back."""
    world = client.world
    async for _ in world.every(0.5):
        begun, token = time.monotonic(), world.token()
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        status: int | None = None
        request: str | None = None
        try:
            await client.send(f"/api/socket/{token}", client.bearer(client.subject) + upgrade, None, chunked=False)
            answer = await client.line.head()
            status, request = answer.status, answer.request
            world.ledger.answered(client.kind, request, status)
            if status == 101:
                await conversation(client, token)
        except BROKEN:
            status = None
        client.line.close()
        world.ledger.judge(client.kind, status, frozenset({101}), begun, request=request)


async def conversation(client: Client, token: str) -> None:
    """Messages there and back, then the closing handshake. Raises BROKEN."""
    reader, writer = await client.line.ends()
    expected = token.encode()
    for turn in range(client.world.chance.randrange(1, 30)):
        got = await read_frame(reader)
        if got.kind == CLOSE:
            raise EOFError
        if got.payload != expected:
            client.world.ledger.complain(client.kind, f"{got.payload[:60]!r}, not {expected[:60]!r}")
        expected = payload(f"{token}-{turn}", client.world.chance.choice((1, 125, 126, 3000, 70_000)))
        writer.write(frame(expected))
        await writer.drain()
        await asyncio.sleep(0.05)
    await read_frame(reader)
    writer.write(closing())
    if (await read_frame(reader)).kind != CLOSE:
        raise EOFError


CAST: tuple[tuple[Callable[[Client], Coroutine[Any, Any, None]], int], ...] = (
    (getter, 10), (poster, 4), (downloader, 2), (listener, 4), (stranger, 2), (hasty, 2), (metered, 3), (key_user, 2), (talker, 4),
)  # fmt: skip
"""Who takes part, and how many of each."""


def cast(world: World) -> list[Coroutine[Any, Any, None]]:
    return [play(Client(world, play.__name__, number)) for play, count in CAST for number in range(count)]
