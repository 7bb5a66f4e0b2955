"""Bounds on what one client may send, and how slowly: each answered by the app, with the reason the contract names."""

import pytest

from gateway.core.errors import GatewayError
from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from tests.fakes import CountingMetrics
from tests.rawhttp import FOLLOWER, Client, Echo, limits, scripted, serving

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def refused(client: Client, status: int, reason: str) -> None:
    answer = await client.answer()
    assert (answer.status, answer.fields["x-reason"], answer.fields["connection"]) == (status, reason, "close")
    assert await client.rest() == b""


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 414)], ids=["at the limit", "over it"])
async def test_a_request_line_has_a_limit(size: int, status: int) -> None:
    line = b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"
    assert len(line) == size
    async with serving(Echo(), limits=limits(request_line=100)) as gate:
        client = await gate.ask(line + b"\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == status


async def test_an_endless_request_line_is_refused_before_it_ends() -> None:
    async with serving(Echo(), limits=limits(request_line=1000)) as gate:
        client = await gate.ask(b"GET /" + b"a" * 2000)
        await refused(client, 414, "target-too-long")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 431)], ids=["at the limit", "over it"])
async def test_header_bytes_have_a_limit(size: int, status: int) -> None:
    async with serving(Echo(), limits=limits(headers=1000)) as gate:
        client = await gate.ask(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * (size - 5) + b"\r\n\r\n")
        assert (await client.answer()).status == status


@pytest.mark.parametrize("piece", [b"a", b"X: y\r\n"], ids=["one value", "many fields"])
async def test_an_endless_head_is_refused_before_it_ends(piece: bytes) -> None:
    async with serving(Echo(), limits=limits(headers=1000)) as gate:
        client = await gate.ask(b"GET / HTTP/1.1\r\nX: ")
        await client.send(piece * 400)
        await client.send(piece * 800)
        await refused(client, 431, "headers-too-large")


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 431)], ids=["at the limit", "over it"])
async def test_the_number_of_fields_has_a_limit(count: int, status: int) -> None:
    async with serving(Echo()) as gate:
        client = await gate.ask(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * count + b"\r\n" + FOLLOWER)
        assert (await client.answer()).status == status
        if status == 431:
            assert await client.rest() == b""


async def test_a_body_announced_over_the_limit_is_refused_unread() -> None:
    echo = Echo()
    async with serving(echo, limits=limits(body=10)) as gate:
        client = await gate.ask(POST + b"Content-Length: 11\r\n\r\n" + b"a" * 11 + FOLLOWER)
        await refused(client, 413, "body-too-large")
    assert echo.targets == [b"/"]


async def test_a_chunked_body_is_refused_when_it_passes_the_limit() -> None:
    echo = Echo()
    async with serving(echo, limits=limits(body=10)) as gate:
        client = await gate.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n6\r\naaaaaa\r\n6\r\naaaaaa\r\n0\r\n\r\n" + FOLLOWER)
        await refused(client, 413, "body-too-large")
    assert echo.targets == [b"/"]


async def test_a_chunked_body_at_the_limit_is_read() -> None:
    async with serving(Echo(), limits=limits(body=10)) as gate:
        client = await gate.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\naaaaa\r\n5\r\naaaaa\r\n0\r\n\r\n")
        assert (await client.answer()).body == b"POST / 10\n"


@pytest.mark.parametrize("lowered", [4, 1000], ids=["lower", "higher"])
async def test_a_routes_own_limit_only_lowers_the_listeners(lowered: int) -> None:
    reasons: list[str] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        try:
            await inbound.body.read(lowered)
        except GatewayError as error:
            reasons.append(error.reason)
        await writer.start(Response(200, []), b"", False)

    async with serving(scripted(app), limits=limits(body=10)) as gate:
        client = await gate.ask(POST + b"Content-Length: 11\r\n\r\n" + b"a" * 11)
        await client.answer()
    assert reasons == ["body-too-large"]


@pytest.mark.parametrize(
    "bloat",
    [b"1;" + b"x" * 3000 + b"\r\na\r\n", b"0\r\n" + b"X: y\r\n" * 500],
    ids=["chunk extensions", "trailers"],
)
async def test_framing_that_outweighs_a_chunked_body_is_refused(bloat: bytes) -> None:
    async with serving(Echo(), limits=limits(headers=1000)) as gate:
        client = await gate.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + bloat)
        await refused(client, 400, "malformed-request")


async def test_small_chunks_are_no_bloat() -> None:
    async with serving(Echo(), limits=limits(headers=1000)) as gate:
        client = await gate.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n")
        assert (await client.answer()).body == b"POST / 5000\n"


async def test_a_head_that_comes_too_slowly_is_answered_408() -> None:
    """attacks.md row 139: the clock runs from the first byte, whatever comes after."""
    echo = Echo()
    async with serving(echo, limits=limits(header_timeout=0.3)) as gate:
        client = await gate.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n")
        for _ in range(3):
            assert await client.is_silent(0.05)
            await client.send(b"X: y\r\n")
        await refused(client, 408, "request-timeout")
    assert (echo.seen[0].method, echo.seen[0].target) == ("GET", b"/slow")


async def test_a_connection_that_says_nothing_is_closed_without_an_answer() -> None:
    echo = Echo()
    async with serving(echo, limits=limits(header_timeout=0.1)) as gate:
        client = await gate.connect()
        assert await client.rest() == b""
    assert echo.seen == []


async def test_empty_lines_do_not_keep_a_connection_alive() -> None:
    async with serving(Echo(), limits=limits(header_timeout=0.1)) as gate:
        client = await gate.ask(b"\r\n\r\n")
        assert await client.rest() == b""


async def test_a_kept_connection_without_a_request_is_closed() -> None:
    async with serving(Echo(), limits=limits(idle_timeout=0.1)) as gate:
        client = await gate.ask(FOLLOWER)
        assert (await client.answer()).status == 200
        assert await client.rest() == b""


@pytest.mark.parametrize("fields", [b"Content-Length: 1000\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["length", "chunked"])
async def test_a_body_that_stops_coming_is_answered_408(fields: bytes) -> None:
    async with serving(Echo(), limits=limits(body_idle=0.1)) as gate:
        client = await gate.ask(POST + fields + b"\r\n")
        await refused(client, 408, "request-timeout")


async def test_a_body_that_drips_is_answered_408() -> None:
    """attacks.md row 139: a byte now and then is no progress."""
    async with serving(Echo(), limits=limits(body_idle=0.3)) as gate:
        client = await gate.ask(POST + b"Content-Length: 1000\r\n\r\n")
        for _ in range(3):
            assert await client.is_silent(0.05)
            await client.send(b"a")
        await refused(client, 408, "request-timeout")


async def test_connections_over_the_limit_are_told_so() -> None:
    echo = Echo()
    async with serving(echo, limits=limits(connections=2)) as gate:
        for _ in range(2):
            assert (await (await gate.ask(FOLLOWER)).answer()).status == 200
        third = await gate.ask(FOLLOWER + FOLLOWER)
        await refused(third, 503, "overloaded")
        gate.clients[0].close()
        await gate.until(lambda: gate.server.connections < 2)
        assert (await (await gate.ask(FOLLOWER)).answer()).status == 200


async def test_far_over_the_limit_of_connections_the_door_just_shuts() -> None:
    metrics = CountingMetrics()
    async with serving(Echo(), limits=limits(connections=1), metrics=metrics) as gate:
        for _ in range(66):
            await gate.connect()
        await gate.until(lambda: metrics.counted("gateway.connections.refused", listener="main", reason="overloaded") >= 1)
        assert gate.server.connections <= 65
