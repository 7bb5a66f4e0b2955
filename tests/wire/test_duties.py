"""What RFC 9110 and 9112 ask of whoever stands between: seen from both ends of a whole gateway."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import House, house, request_bytes
from tests.rawhttp import Client

HOST = b"Host: gw.test\r\n"
FOLLOWER = b"GET /public/follower HTTP/1.1\r\nHost: gw.test\r\n\r\n"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as home:
        yield home


async def ask(gateway: House, raw: bytes) -> Client:
    client = Client(*await asyncio.open_connection(*gateway.address()))
    await client.send(raw)
    return client


@pytest.mark.parametrize(
    "line", [b"TRACE /public/a HTTP/1.1", b"CONNECT gw.test:443 HTTP/1.1", b"CONNECT /public/a HTTP/1.1"], ids=repr
)
async def test_trace_and_connect_are_not_carried(gateway: House, line: bytes) -> None:
    client = await ask(gateway, line + b"\r\n" + HOST + b"\r\n" + FOLLOWER)
    assert (await client.answer()).status == 501
    assert await client.rest() == b""
    client.close()
    assert gateway.upstream.seen == []


async def test_an_absolute_target_is_carried_in_origin_form(gateway: House) -> None:
    """RFC 9112 3.2.2."""
    client = await ask(gateway, b"GET http://GW.test/public/a?b HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await client.answer()).status == 200
    client.close()
    assert [seen.target for seen in gateway.upstream.seen] == ["/public/a?b"]


async def test_an_expectation_nobody_knows_is_417(gateway: House) -> None:
    """RFC 9110 10.1.1."""
    assert (await gateway.get("/public/a", headers={"Expect": "200-ok"})).status == 417
    assert gateway.upstream.seen == []


async def test_100_continue_is_ours_to_say_and_nobodys_upstream(gateway: House) -> None:
    client = await ask(gateway, b"POST /public/a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    await client.send(b"data")
    assert (await client.answer()).status == 200
    client.close()
    (seen,) = gateway.upstream.seen
    assert (seen.body, seen.all("expect")) == (b"data", [])


async def test_a_refusal_comes_instead_of_100_continue(gateway: House) -> None:
    client = await ask(gateway, b"POST /admin/a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.fields["connection"]) == (401, "close")
    client.close()


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none_whatever_follows_it(gateway: House, status: int) -> None:
    """What an upstream sends behind it belongs to nobody."""
    gateway.upstream.answer = b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nevil" % status
    client = await ask(gateway, b"GET /public/a HTTP/1.1\r\n" + HOST + b"\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body) == (status, b"")
    gateway.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    await client.send(FOLLOWER)
    assert (await client.answer()).body == b"good"
    client.close()


async def test_head_is_told_the_length_and_spared_the_body(gateway: House) -> None:
    client = await ask(gateway, b"HEAD /public/a HTTP/1.1\r\n" + HOST + b"\r\n" + FOLLOWER)
    answer = await client.answer("HEAD")
    assert (answer.status, answer.fields["content-length"]) == (200, "11")
    assert (await client.answer()).body == b'{"ok":true}'
    client.close()


async def test_trailers_are_dropped_both_ways_and_so_is_what_announces_them(gateway: House) -> None:
    """RFC 9110 6.5.1: nobody behind us could tell them from fields that were judged."""
    gateway.upstream.answer = (
        b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: evil\r\n\r\n"
    )
    body = b"4\r\ndata\r\n0\r\nX-T: evil\r\nX-Gateway-Subject: admin\r\n\r\n"
    fields = b"Trailer: X-T\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n"
    client = await ask(gateway, b"POST /public/a HTTP/1.1\r\n" + HOST + fields + body + FOLLOWER)
    answer = await client.answer()
    assert (answer.body, "trailer" in answer.fields, "x-t" in answer.fields) == (b"ok", False, False)
    assert (await client.answer()).body == b"ok"
    client.close()
    seen = gateway.upstream.seen[0]
    assert seen.body == b"data"
    assert not seen.names & {"trailer", "te", "x-t", "x-gateway-subject", "connection"}


@pytest.mark.parametrize(("hops", "carried"), [("1", "0"), ("10", "9")])
async def test_max_forwards_counts_down(gateway: House, hops: str, carried: str) -> None:
    """RFC 9110 7.6.2."""
    assert (await gateway.get("/public/a", method="OPTIONS", headers={"Max-Forwards": hops})).status == 200
    assert gateway.upstream.seen[0].all("max-forwards") == [carried]


@pytest.mark.parametrize("hops", ["0", "000"])
async def test_where_max_forwards_ends_the_gateway_answers_itself(gateway: House, hops: str) -> None:
    """RFC 9110 7.6.2: it is the final recipient, and tells what the path takes (9.3.7)."""
    reply = await gateway.get("/public/a", method="OPTIONS", headers={"Max-Forwards": hops})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.all("allow") == ["DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"]
    assert gateway.upstream.seen == []
    (event,) = await gateway.requests()
    assert (event["status"], event["route"]) == (204, "open.public")


async def test_who_may_not_ask_is_not_told_where_max_forwards_ends_either(gateway: House) -> None:
    """It is authenticated and decided on like any request."""
    ending = {"Max-Forwards": "0"}
    assert (await gateway.get("/admin/a", method="OPTIONS", headers=ending)).status == 401
    nobody = gateway.keys.token(roles=[])
    assert (await gateway.get("/admin/a", method="OPTIONS", headers=ending, token=nobody)).status == 403
    assert (await gateway.get("/admin/a", method="OPTIONS", headers=ending, token=gateway.keys.token())).status == 204
    assert gateway.upstream.seen == []


async def test_where_max_forwards_ends_every_route_of_the_path_is_told_with_its_cors_fields(tmp_path: Path) -> None:
    """The fields of the route that claims OPTIONS; a method without a route is still refused."""
    page, elsewhere = "https://app.example.com", {"path": "/public/b", "methods": ["GET"]}
    common = {"upstream": "plain", "anonymous": True}
    reading = {"name": "open.reading", "match": {"path": "/public/a", "methods": ["GET"]}, **common}
    asking = {"name": "open.asking", "match": {"path": "/public/a", "methods": ["OPTIONS", "POST"]}, "cors": "app", **common}
    other = {"name": "open.other", "match": elsewhere, **common}
    async with house(tmp_path, routes=[reading, asking, other], cors={"app": {"origins": [page]}}) as home:
        ending = {"Max-Forwards": "0", "Origin": page}
        reply = await home.get("/public/a", method="OPTIONS", headers=ending)
        assert (reply.status, reply.all("allow")) == (204, ["GET, HEAD, OPTIONS, POST"])
        assert (reply.all("access-control-allow-origin"), reply.all("x-content-type-options")) == ([page], ["nosniff"])
        assert (await home.get("/public/b", method="OPTIONS", headers=ending)).status == 405
        assert home.upstream.seen == []


async def test_max_forwards_of_another_method_ends_nothing(gateway: House) -> None:
    assert (await gateway.get("/public/a", headers={"Max-Forwards": "0"})).status == 200
    assert gateway.upstream.seen[0].all("max-forwards") == ["0"]


async def test_an_answer_to_half_a_request_is_passed_on_and_ends_both_connections(tmp_path: Path) -> None:
    """RFC 9112 9.3: the rest of the body goes nowhere, and the next request finds a connection of its own."""
    heads = 0

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads
        await reader.readuntil(b"\r\n\r\n")
        heads += 1
        writer.write(
            b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno!" if heads == 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
        )
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plain = {"url": f"http://127.0.0.1:{port}", "allow_plaintext": True, "allow_private": True}
    route = {"name": "open.public", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True}
    async with house(tmp_path, upstreams={"plain": plain}, routes=[route]) as home:
        client = await ask(home, b"POST /public/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n")
        answer = await client.answer()
        assert (answer.status, answer.body, answer.fields["connection"]) == (413, b"no!", "close")
        await client.send(b"0\r\n\r\n" + FOLLOWER)
        assert await client.rest() == b""
        client.close()
        assert (await home.raw(request_bytes("/public/next"))).body == b"yes"
        assert heads == 2
    server.close()
