"""How a request's body reaches the upstream: framed by us, no faster than it reads, and no further than its answer."""

import asyncio

import pytest

from gateway.core.errors import BadRequest, UpstreamTimeout, UpstreamUnreachable
from gateway.core.reason import Reason
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.upload import SMALL
from tests.scripted import BOUND, CLOSE, HEAD, OK, READ, RESET, Pieces, Scripted, Whole, body_of, outbound, transport, upstream

LARGE = b"x" * (SMALL + 1)
"""More than is waited for before a connection is taken."""
REFUSED = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"


async def test_a_body_of_known_length_is_announced() -> None:
    async with Scripted([READ, OK, READ, OK]) as server:
        way = transport(server.port)
        await way.send(outbound("POST", body=Pieces(b"ab", b"", b"c", length=3)))
        await way.send(outbound())
        assert (server.seen[0].all(b"content-length"), server.seen[0].body) == ([b"3"], b"abc")
        assert server.seen[0].all(b"transfer-encoding") == []
        assert server.opened == 1


async def test_a_body_of_unknown_length_is_chunked() -> None:
    async with Scripted([READ, OK, READ, OK]) as server:
        way = transport(server.port)
        # An empty piece must not become the chunk that ends the body.
        await way.send(outbound("POST", body=Pieces(b"ab", b"", b"0\r\n\r\n")))
        await way.send(outbound())
        assert (server.seen[0].all(b"transfer-encoding"), server.seen[0].body) == ([b"chunked"], b"ab0\r\n\r\n")
        assert server.seen[0].all(b"content-length") == []
        assert server.opened == 1


async def test_a_body_read_whole_goes_out_with_its_length() -> None:
    async with Scripted([READ, OK]) as server:
        await transport(server.port).send(outbound("POST", body=Whole(b"abc")))
        assert (server.seen[0].all(b"content-length"), server.seen[0].body) == ([b"3"], b"abc")


@pytest.mark.parametrize(("method", "lengths"), [("GET", []), ("DELETE", []), ("POST", [b"0"]), ("PUT", [b"0"])])
async def test_an_empty_body_is_announced_where_one_is_expected(method: str, lengths: list[bytes]) -> None:
    async with Scripted([READ, OK]) as server:
        await transport(server.port).send(outbound(method))
        assert server.seen[0].all(b"content-length") == lengths


@pytest.mark.parametrize(
    "body",
    [Pieces(LARGE, b"d", length=len(LARGE)), Pieces(LARGE, length=len(LARGE) + 1), Pieces(length=len(LARGE))],
    ids=["longer", "shorter", "missing"],
)
async def test_a_body_that_is_not_as_long_as_announced_ends_the_connection(body: Pieces) -> None:
    async with Scripted([HEAD]) as server:
        with pytest.raises(BadRequest):
            await transport(server.port).send(outbound("POST", body=body))
        await server.until_closed(1)


@pytest.mark.parametrize("content", [b"abcd", b"ab"], ids=["longer", "shorter"])
async def test_a_small_body_that_is_not_as_long_as_announced_never_leaves(content: bytes) -> None:
    async with Scripted([HEAD]) as server:
        with pytest.raises(BadRequest):
            await transport(server.port).send(outbound("POST", body=Pieces(content, length=3)))
        assert server.opened == 0


async def test_a_small_body_is_waited_for_before_a_connection_is_taken() -> None:
    """Row 139: a client that takes long to say little holds no place at the upstream."""
    gate = asyncio.Event()
    async with Scripted([READ, OK, READ, OK]) as server:
        way = transport(server.port, connections=1)
        slow = asyncio.create_task(way.send(outbound("POST", body=Pieces(b"abc", gate, b"def", length=6))))
        await asyncio.sleep(0)
        assert (await way.send(outbound())).status == 200
        gate.set()
        assert (await slow).status == 200
        assert [seen.body for seen in server.seen] == [b"", b"abcdef"]
        assert server.opened == 1


async def test_what_is_wrong_with_the_body_reaches_the_one_who_sent_it() -> None:
    body = Pieces(b"abc", BadRequest("too much", reason=Reason.BODY_TOO_LARGE))
    async with Scripted([HEAD]) as server:
        with pytest.raises(BadRequest) as caught:
            await transport(server.port).send(outbound("POST", body=body))
        assert caught.value.status == 413
        await server.until_closed(1)


async def test_a_bug_in_the_body_is_not_taken_for_an_upstreams_fault() -> None:
    async with Scripted([HEAD]) as server:
        with pytest.raises(LookupError):
            await transport(server.port).send(outbound("POST", body=Pieces(b"abc", LookupError("bug"))))
        await server.until_closed(1)


@pytest.mark.parametrize("length", [None, SMALL + 1], ids=["chunked", "length"])
async def test_an_early_answer_stops_the_sending_and_ends_the_connection(length: int | None) -> None:
    never = asyncio.Event()
    body = Pieces(b"abc", never, b"never sent", length=length)
    async with Scripted([HEAD, REFUSED], [READ, OK]) as server:
        way = transport(server.port)
        response = await way.send(outbound("POST", body=body))
        assert (response.status, await body_of(response)) == (413, b"no")
        await server.until_closed(1)
        assert body.given == 1
        assert (await way.send(outbound())).body == b"ok"
        assert server.opened == 2


async def test_an_early_answer_that_streams_is_passed_on_whole() -> None:
    never, gate = asyncio.Event(), asyncio.Event()
    async with Scripted([HEAD, b"HTTP/1.1 413 No\r\ncontent-length: 6\r\n\r\nabc", gate, b"def"]) as server:
        response = await transport(server.port).send(outbound("POST", body=Pieces(b"x", never)))
        gate.set()
        assert await body_of(response) == b"abcdef"
        await server.until_closed(1)


async def test_interim_answers_do_not_stop_the_body() -> None:
    gate = asyncio.Event()
    async with Scripted([HEAD, b"HTTP/1.1 100 Continue\r\n\r\n", READ_REST, OK]) as server:
        body = Pieces(b"abc", gate, LARGE, length=3 + len(LARGE))
        task = asyncio.create_task(transport(server.port).send(outbound("PUT", body=body)))
        await server.until_seen(1)
        gate.set()
        assert (await task).status == 200


READ_REST = b""  # nothing to send: the body lies unread in the upstream's buffer


async def test_an_upstream_that_leaves_during_the_body_is_unreachable() -> None:
    never = asyncio.Event()
    for end in (CLOSE, RESET):
        async with Scripted([HEAD, end]) as server:
            with pytest.raises(UpstreamUnreachable):
                await transport(server.port).send(outbound("POST", body=Pieces(b"abc", never)))


async def test_an_upstream_that_does_not_read_makes_the_client_wait_and_then_times_out() -> None:
    body = Pieces(*[b"x" * 65536] * 2000)
    never = asyncio.Event()
    async with Scripted([HEAD, never]) as server:
        with pytest.raises(UpstreamTimeout):
            await transport(server.port, timeouts={"response": "200ms"}).send(outbound("POST", body=body))
        assert body.given < 1000


async def test_a_slow_client_is_not_the_upstreams_fault() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, OK]) as server:
        way = transport(server.port, timeouts={"response": "50ms"})
        task = asyncio.create_task(way.send(outbound("POST", body=Pieces(b"a", gate, b"b"))))
        await server.until_seen(1)
        done, _ = await asyncio.wait({task}, timeout=0.2)
        assert not done
        gate.set()
        assert (await task).status == 200


async def test_the_upstreams_time_to_answer_starts_when_the_body_is_through() -> None:
    async with Scripted([READ]) as server:
        with pytest.raises(UpstreamTimeout):
            await transport(server.port, timeouts={"response": "50ms"}).send(outbound("POST", body=Pieces(b"a")))


async def test_cancelling_stops_the_body_too() -> None:
    never = asyncio.Event()
    async with Scripted([HEAD]) as server:
        task = asyncio.create_task(transport(server.port).send(outbound("POST", body=Pieces(b"a", never))))
        await server.until_seen(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until_closed(1)
        assert not [other for other in asyncio.all_tasks() if "upload" in repr(other)]


async def test_a_body_the_upstream_never_read_does_not_hold_its_connection() -> None:
    never = asyncio.Event()
    async with Scripted([HEAD, REFUSED, never], [READ, OK]) as server:
        service = upstream(server.port, connections=1)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        assert (await way.send(outbound("PUT", body=Whole(b"x" * (32 << 20))))).status == 413
        assert (await asyncio.wait_for(way.send(outbound()), BOUND)).body == b"ok"
        assert server.opened == 2
