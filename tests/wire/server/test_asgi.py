"""The operators' listener: a plain ASGI application, spoken to by uvicorn, on our accept loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.server.lifecycle import Server
from gateway.server.listener import Asgi, Listener
from tests.rawhttp import FOLLOWER, Echo, Gate, limits

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n"


async def livez(request: Request) -> PlainTextResponse:
    assert request.client is not None
    return PlainTextResponse(f"{request.client.host} {request.url.scheme}")


@asynccontextmanager
async def operated() -> AsyncIterator[tuple[Gate, Gate]]:
    app = Starlette(routes=[Route("/livez", livez)])
    server = Server(
        [
            Listener("main", "127.0.0.1:0", Echo()),
            Listener("admin", "127.0.0.1:0", Asgi(app), limits=limits(header_timeout=0.2, headers=10_000)),
        ]
    )
    await server.start()
    gates = Gate(server, server.addresses["main"]), Gate(server, server.addresses["admin"])
    try:
        yield gates
    finally:
        for gate in gates:
            for client in gate.clients:
                client.close()
        await server.close()


async def test_an_asgi_application_is_served_and_says_nothing_of_its_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with operated() as (_, admin):
        client = await admin.ask((GET + b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n") * 2)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"127.0.0.1 http")
        assert "server" not in answer.fields
        assert (await client.answer()).status == 200
    assert [record for record in caplog.records if record.name == "uvicorn.access"] == []


async def test_websockets_are_not_spoken_there_either() -> None:
    async with operated() as (_, admin):
        client = await admin.ask(
            GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await client.answer()).status == 200


async def test_an_operator_still_reads_readiness_while_the_data_path_drains() -> None:
    async with operated() as (main, admin):
        assert await main.server.drain(0.0, 5.0)
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await main.connect()
        assert (await (await admin.ask(GET + b"\r\n")).answer()).status == 200
        assert not main.server.ready


@pytest.mark.parametrize("first", [b"", GET + b"\r\n"], ids=["first request", "second request"])
@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nX: "], ids=["unfinished head"])
async def test_a_head_that_does_not_come_ends_the_connection(first: bytes, head: bytes) -> None:
    async with operated() as (_, admin):
        client = await admin.ask(first)
        if first:
            await client.answer()
        await client.send(head)
        assert await client.rest() == b""


async def test_a_connection_that_says_nothing_ends() -> None:
    async with operated() as (_, admin):
        assert await (await admin.connect()).rest() == b""


async def test_an_endless_head_ends_the_connection() -> None:
    async with operated() as (_, admin):
        client = await admin.ask(GET + b"X: " + b"a" * 5_000)
        await client.send(b"a" * 15_000)
        assert await client.rest() == b""


async def test_operators_are_no_clients_of_the_data_path() -> None:
    async with operated() as (main, admin):
        await (await admin.ask(GET + b"\r\n")).answer()
        assert main.server.connections == 0
        await (await main.ask(FOLLOWER)).answer()
        assert main.server.connections == 1
