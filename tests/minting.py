"""A stand-in for whoever mints tokens: TLS on loopback, remembers every request to the byte, answers what a test says."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self
from urllib.parse import parse_qsl

import trustme

from gateway.core.ports import Fetch, SecretSource
from gateway.credentials.tokens import Tokens
from gateway.credentials.workshop import Workshop
from tests.house import Seen, read_request
from tests.issuer import Counted, FrozenClock, ScriptedFetch


@dataclass
class Asked(Seen):
    """One request for a token. `certificate` is what the client showed, DER, None where it showed none."""

    certificate: bytes | None = None

    @property
    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        assert len({name for name, _ in pairs}) == len(pairs), "a parameter was sent twice (RFC 6749 3.2)"
        return dict(pairs)

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) < 2, f"{name} was sent twice"
        return found[0] if found else None


Answer = bytes | Callable[[Asked], bytes] | Callable[[Asked], Awaitable[bytes]]


@dataclass
class Mint:
    """A TLS server named `name` on loopback. With `clients`, it asks for a client certificate of that authority."""

    authority: trustme.CA
    answer: Answer = b""
    name: str = "mint.test"
    clients: trustme.CA | None = None
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(self.name).configure_cert(context)
        if self.clients is not None:
            self.clients.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, path: str = "/token") -> str:
        return f"https://{self.name}:{self.port}{path}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError)
        with contextlib.suppress(*gone):
            await self._serve(reader, writer)
        writer.close()
        with contextlib.suppress(*gone):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = await read_request(reader)
        if seen is None:
            return
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        asked = Asked(seen.method, seen.target, seen.headers, seen.body, certificate)
        self.asked.append(asked)
        answer = self.answer
        if callable(answer):
            made = answer(asked)
            answer = made if isinstance(made, bytes) else await made
        writer.write(answer)
        await writer.drain()


def reply(members: dict[str, Any] | list[Any] | bytes, status: int = 200, *lines: str) -> bytes:
    """An answer of a token endpoint (RFC 6749 5.1)."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    head = [f"HTTP/1.1 {status} Because", "Content-Type: application/json", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Told:
    """An audit trail that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))


def no_grants(provider: str) -> NoReturn:
    raise AssertionError("no grant is used here")


def workshop(
    secrets: Callable[[Any], SecretSource],
    *,
    fetch: Fetch | None = None,
    clock: FrozenClock | None = None,
    told: Told | None = None,
) -> Workshop:
    """What credentials are made with, in memory."""
    time, trail = clock or FrozenClock(), told or Told()

    def tokens(name: str, credential: Any, provider: str) -> Tokens:
        return Tokens(name, time, Counted(), trail, provider=provider, jitter=lambda: 0.0)

    return Workshop(fetch or ScriptedFetch(), time, secrets, tokens, no_grants, Counted(), trail)
