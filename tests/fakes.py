"""The few fakes that several rooms' tests share: time, metrics, admitted requests and their bodies, stored API keys. Written by hand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from gateway.authn import key_entry, key_file
from gateway.authn.key_entry import KeyEntry
from gateway.core.errors import BadRequest
from gateway.core.message import NO_BODY, Body, Field, Head, Request
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason


class SteppedClock:
    """A clock that stands still until it is told to step. Unix time and monotonic time differ, as they do."""

    def __init__(self, unix: float = 1_780_000_000.0, monotonic: float = 5_000.0) -> None:
        self._unix = unix
        self._monotonic = monotonic

    def now(self) -> float:
        return self._unix

    def monotonic(self) -> float:
        return self._monotonic

    def step(self, seconds: float) -> None:
        self._unix += seconds
        self._monotonic += seconds


class CountingMetrics:
    """Remembers what was counted, by name and labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] += int(amount)

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        raise AssertionError("no gauge is expected here")

    def counted(self, name: str, **labels: str) -> int:
        return self.counts[name, tuple(sorted(labels.items()))]


class HeldBody:
    """A request body that arrives in pieces, counted against its limit as the server's is."""

    def __init__(self, *pieces: bytes, declared: bool = True, limit: int = 10 * 1024 * 1024) -> None:
        self._pieces = pieces
        self.length: int | None = sum(map(len, pieces)) if declared else None
        self.whole: bytes | None = None
        self.limit = limit
        self.received = 0
        self.read_calls = 0

    async def read(self, limit: int) -> bytes:
        self.read_calls += 1
        self.limit = min(limit, self.limit)
        self.whole = b"".join([piece async for piece in self])
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.received += len(piece)
            if self.received > self.limit:
                raise BadRequest(reason=Reason.BODY_TOO_LARGE)
            yield piece


def a_request(
    method: str = "GET",
    *,
    headers: list[Field] | None = None,
    client: str = "192.0.2.1",
    body: Body = NO_BODY,
    path: str = "/",
    secure: bool = True,
) -> Request:
    """An admitted request, as intake would have made it."""
    headers = headers or []
    fields: dict[bytes, bytes] = {}
    repeated = set()
    for name, value in headers:
        if name in fields:
            repeated.add(name)
        fields.setdefault(name, value)
    head = Head(
        host="gw.example",
        authority="gw.example",
        version="1.1",
        headers=headers,
        fields=fields,
        repeated=frozenset(repeated),
        peer=client,
        client=client,
        secure=secure,
        trusted=False,
        forwarded=(),
        certificate=None,
        listener="main",
    )
    return Request(head, method, path, tuple(path.split("/")[1:]), None, body)


def a_principal(id: str = "ada", *, issuer: str = "corp", scheme: str = "jwt") -> Principal:
    """Somebody authenticated, without any role."""
    return Principal(Identity(id=id, issuer=issuer, scheme=scheme))


def stored_key(path: Path, pepper: bytes, *, now: float, prefix: str = "lgk", **values: Any) -> tuple[str, KeyEntry]:
    """A key whose entry is in the file, as `gateway keys create` makes it."""
    key, entry = key_entry.new_entry(pepper, prefix=prefix, now=now, **values)
    key_file.add(path, entry)
    return key, entry


async def turns_during(reading: Coroutine[Any, Any, Any]) -> int:
    """How often the event loop turns before something is done."""
    waiting = asyncio.ensure_future(reading)
    turns = 0
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    await waiting
    return turns
