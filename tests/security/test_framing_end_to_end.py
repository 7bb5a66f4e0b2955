"""Message framing through a whole gateway (attacks.md 4.4): what is refused leaves nothing at the upstream, and nobody gets another's answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import House, house
from tests.rawhttp import Client
from tests.security.test_smuggling import BODIES, HEADS

FOLLOWER = b"GET /public/follower HTTP/1.1\r\nHost: gw.test\r\n\r\n"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as home:
        yield home


def through(raw: bytes) -> bytes:
    """An attack on the listener, aimed at a route."""
    return (
        raw.replace(b" /smuggle ", b" /public/smuggle ")
        .replace(b"Host: a\r\n", b"Host: gw.test\r\n")
        .replace(b"/hidden", b"/public/hidden")
    )


async def refused(gateway: House, raw: bytes) -> None:
    client = Client(*await asyncio.open_connection(*gateway.address()))
    await client.send(through(raw) + FOLLOWER)
    answer = await client.answer()
    assert (answer.status, answer.fields["connection"]) == (400, "close")
    assert await client.rest() == b""
    client.close()
    assert gateway.upstream.seen == []
    # Whoever comes next over the same upstream connections gets what is his.
    assert (await gateway.get("/public/next")).status == 200
    assert [seen.target for seen in gateway.upstream.seen] == ["/public/next"]
    assert gateway.upstream.opened == 1, "a connection was opened for what was refused"


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS.keys())
async def test_an_ambiguous_head_sends_no_byte_upstream(gateway: House, raw: bytes) -> None:
    await refused(gateway, raw)


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_broken_from_the_start_sends_no_byte_upstream(gateway: House, raw: bytes) -> None:
    """It came with its head, so there was no need to begin."""
    await refused(gateway, raw)
