"""How connections are reused, bounded, abandoned and distrusted."""

import asyncio

import pytest

from gateway.core.errors import InternalError, UpstreamOverloaded, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.endpoint import CALM, KEPT
from gateway.upstream.model import RouteTimeouts
from tests.scripted import BOUND, CLOSE, OK, READ, Counted, Pieces, Scripted, Whole, body_of, outbound, transport, upstream

STREAMING = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"


async def test_a_connection_is_used_again() -> None:
    async with Scripted([READ, OK] * 5) as server:
        way = transport(server.port)
        for _ in range(5):
            assert (await way.send(outbound())).body == b"ok"
        assert (server.opened, len(server.seen)) == (1, 5)


async def test_the_connection_used_last_is_used_first() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    async with Scripted([READ, first, OK, READ, OK], [READ, second, OK, READ, OK]) as server:
        service = upstream(server.port)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        early = asyncio.create_task(way.send(outbound(target=b"/early")))
        await server.until_seen(1)
        late = asyncio.create_task(way.send(outbound(target=b"/late")))
        await server.until_seen(2)
        first.set()
        await early
        second.set()
        await late
        assert service.status()["targets"][0]["idle"] == 2
        taken = service.take(True)
        assert taken is not None
        assert taken.served == 1
        assert taken is not service.take(True)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", id="asked-to-close"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", id="http-1.0"),
        pytest.param(b"HTTP/1.1 401 No\r\nwww-authenticate: Negotiate abc\r\ncontent-length: 2\r\n\r\nok", id="negotiate"),
        pytest.param(b"HTTP/1.1 401 No\r\nwww-authenticate: Basic, NTLM\r\ncontent-length: 2\r\n\r\nok", id="ntlm"),
        pytest.param(b"HTTP/1.1 200 OK\r\nproxy-authenticate: NTLM\r\ncontent-length: 2\r\n\r\nok", id="proxy-ntlm"),
        pytest.param(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", id="a-second-answer"),
        pytest.param(OK + b"HTTP", id="the-start-of-a-second-answer"),
        pytest.param(OK + b"garbage", id="garbage-behind-the-answer"),
    ],
)
async def test_a_connection_that_cannot_be_trusted_again_is_not_used_again(raw: bytes) -> None:
    async with Scripted([READ, raw], [READ, OK]) as server:
        way = transport(server.port)
        assert (await way.send(outbound())).body == b"ok"
        await server.until_closed(1)
        assert (await way.send(outbound())).body == b"ok"
        assert server.opened == 2


async def test_an_idle_connection_that_speaks_is_closed() -> None:
    poison = asyncio.Event()
    metrics = Counted()
    async with Scripted([READ, OK, poison, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"], [READ, OK]) as server:
        service = upstream(server.port, metrics=metrics)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await way.send(outbound())
        poison.set()
        await server.until_closed(1)
        assert (await way.send(outbound())).body == b"ok"
        assert (server.opened, metrics.counts["gateway.upstream.poisoned"]) == (2, 1)


async def test_a_body_behind_the_answer_to_head_poisons_the_connection() -> None:
    async with Scripted([READ, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"], [READ, OK]) as server:
        way = transport(server.port)
        assert (await way.send(outbound("HEAD"))).body == b""
        await server.until_closed(1)
        assert (await way.send(outbound())).body == b"ok"
        assert server.opened == 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_a_stale_connection_is_replaced_once(method: str) -> None:
    # The server ends the connection only on the second request: the client cannot have known.
    metrics = Counted()
    async with Scripted([READ, OK, READ, CLOSE], [READ, OK]) as server:
        way = upstream(server.port, metrics=metrics).transport(RouteTimeouts(), drop_cookies=True)
        await way.send(outbound())
        response = await way.send(outbound(method))
        assert (response.status, response.retries, server.opened) == (200, 1, 2)
        assert metrics.counts["gateway.upstream.retries"] == 1


async def test_a_body_that_was_read_whole_can_be_sent_again() -> None:
    async with Scripted([READ, OK, READ, CLOSE], [READ, OK]) as server:
        way = transport(server.port)
        await way.send(outbound())
        response = await way.send(outbound("PUT", body=Whole(b"content")))
        assert response.retries == 1
        assert [seen.body for seen in server.seen[1:]] == [b"content", b"content"]


@pytest.mark.parametrize(
    ("method", "streamed"), [("POST", False), ("PATCH", False), ("PUT", True)], ids=["post", "patch", "streamed-put"]
)
async def test_what_may_not_be_done_twice_is_not_sent_twice(method: str, streamed: bool) -> None:
    body = Pieces(b"content") if streamed else Whole(b"content")
    async with Scripted([READ, OK, READ, CLOSE], [READ, OK]) as server:
        way = transport(server.port)
        await way.send(outbound())
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound(method, body=body))
        assert server.opened == 1


async def test_a_request_is_not_repeated_when_an_answer_had_begun() -> None:
    async with Scripted([READ, OK, READ, b"HTTP/1.1 2", CLOSE], [READ, OK]) as server:
        way = transport(server.port)
        await way.send(outbound())
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound())
        assert server.opened == 1


async def test_what_may_be_done_twice_is_sent_again_when_a_new_connection_ends_without_an_answer() -> None:
    async with Scripted([READ, CLOSE], [READ, OK]) as server:
        assert (await transport(server.port).send(outbound())).retries == 1
        assert server.opened == 2


async def test_without_a_budget_nothing_is_sent_again() -> None:
    async with Scripted([READ, CLOSE], [READ, OK]) as server:
        way = transport(server.port, retry_budget={"budget_percent": 0, "min_retries_per_second": 0})
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound())
        assert server.opened == 1


async def test_a_second_stale_connection_is_not_replaced_again() -> None:
    async with Scripted([READ, OK, READ, CLOSE], [READ, CLOSE]) as server:
        way = transport(server.port)
        await way.send(outbound())
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound())
        assert server.opened == 2


async def test_requests_beyond_the_limit_wait_for_a_connection() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, gate, OK, READ, OK, READ, OK]) as server:
        service = upstream(server.port, connections=2)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        tasks = [asyncio.create_task(way.send(outbound())) for _ in range(4)]
        await server.until_seen(2)
        assert service.status()["waiting"] == 2
        gate.set()
        responses = await asyncio.gather(*tasks)
        assert [response.body for response in responses] == [b"ok"] * 4
        assert server.opened == 2


async def test_a_queue_that_is_full_refuses_at_once() -> None:
    async with Scripted([READ]) as server:
        way = transport(server.port, connections=1, timeouts={"connect": "30s"})
        busy = [asyncio.create_task(way.send(outbound())) for _ in range(2)]
        await server.until_seen(1)
        with pytest.raises(UpstreamOverloaded) as caught:
            await way.send(outbound())
        assert caught.value.status == 503
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def test_waiting_for_a_connection_ends_in_time() -> None:
    async with Scripted([READ]) as server:
        way = transport(server.port, connections=1, timeouts={"connect": "50ms"})
        busy = asyncio.create_task(way.send(outbound()))
        await server.until_seen(1)
        with pytest.raises(UpstreamOverloaded):
            await way.send(outbound())
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_a_lost_connection_makes_room_for_one_who_waits() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, gate, CLOSE], [READ, OK]) as server:
        way = transport(server.port, connections=1)
        lost = asyncio.create_task(way.send(outbound("POST")))
        await server.until_seen(1)
        waiting = asyncio.create_task(way.send(outbound()))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(UpstreamUnreachable):
            await lost
        assert (await waiting).body == b"ok"


async def test_one_who_stops_waiting_takes_nothing_along() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, gate, OK, READ, OK, READ, OK]) as server:
        service = upstream(server.port, connections=1)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        first = asyncio.create_task(way.send(outbound()))
        await server.until_seen(1)
        waiting = [asyncio.create_task(way.send(outbound())) for _ in range(1)]
        await asyncio.sleep(0)
        gate.set()
        await first
        # The connection was handed over in the same step; the one it was handed to leaves before it runs.
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await asyncio.wait_for(way.send(outbound()), BOUND)).body == b"ok"
        assert service.status()["connections"] == 1


async def test_cancelling_a_request_ends_its_upstream_connection() -> None:
    async with Scripted([READ]) as server:
        service = upstream(server.port)
        task = asyncio.create_task(service.transport(RouteTimeouts(), drop_cookies=True).send(outbound()))
        await server.until_seen(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until_closed(1)
        assert service.status()["connections"] == 0


async def test_abandoning_an_answer_ends_its_upstream_connection() -> None:
    async with Scripted([READ, STREAMING]) as server:
        response = await transport(server.port).send(outbound())
        assert response.abandon is not None
        response.abandon()
        response.abandon()
        await server.until_closed(1)


async def test_abandoning_after_the_end_harms_nobody() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, STREAMING, gate, b"defghi", READ, OK]) as server:
        way = transport(server.port)
        response = await way.send(outbound())
        gate.set()
        assert await body_of(response) == b"abcdefghi"
        following = asyncio.create_task(way.send(outbound()))
        await server.until_seen(2)
        assert response.abandon is not None
        response.abandon()
        assert (await following).body == b"ok"
        assert server.opened == 1


async def test_closing_ends_idle_connections_and_lets_busy_ones_finish() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, OK, READ, gate, OK], [READ, OK]) as server:
        service = upstream(server.port)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await way.send(outbound())
        busy = asyncio.create_task(way.send(outbound()))
        await server.until_seen(2)
        await service.close()
        gate.set()
        assert (await busy).body == b"ok"
        await server.until_closed(1)
        # A request that entered with an older snapshot is still served, on a connection that does not outlive it.
        assert (await way.send(outbound())).body == b"ok"
        await server.until_closed(2)
        assert service.status()["connections"] == 0


async def test_nobody_there_is_unreachable() -> None:
    async with Scripted([READ]) as server:
        port = server.port
    with pytest.raises(UpstreamUnreachable) as caught:
        await transport(port).send(outbound())
    assert caught.value.status == 502


async def test_a_resolver_that_never_answers_is_a_connect_timeout() -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    service = upstream(url="http://api.example", resolve=silent, timeouts={"connect": "50ms"})
    with pytest.raises(UpstreamTimeout):
        await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())


async def test_a_field_that_would_break_out_of_its_line_never_leaves() -> None:
    async with Scripted([READ, OK]) as server:
        service = upstream(server.port, connections=1)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        for bad in (b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"):
            with pytest.raises(InternalError):
                await way.send(outbound("GET", b"/a", (b"x-claim", bad)))
        with pytest.raises(InternalError):
            await way.send(outbound("GET", b"/a HTTP/1.1\r\nx: y"))
        with pytest.raises(InternalError):
            await way.send(outbound("GET", b"/a b", path="/a"))
        assert server.seen == []
        assert (await way.send(outbound())).body == b"ok"


async def test_many_at_once_get_each_their_own_answer() -> None:
    class Echo(Scripted):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.opened += 1
            try:
                while True:
                    line = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(line))
                    await writer.drain()
                    writer.write(line)
            except asyncio.IncompleteReadError:
                writer.close()

    async with Echo([]) as server:
        service = upstream(server.port, connections=20)
        way = service.transport(RouteTimeouts(), drop_cookies=True)

        async def client(number: int) -> None:
            for turn in range(20):
                target = b"/%d/%d" % (number, turn)
                task = asyncio.create_task(way.send(outbound(target=target)))
                if (number + turn) % 7 == 0:
                    await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                else:
                    assert await body_of(await task) == target

        await asyncio.gather(*(client(number) for number in range(20)))
        assert service.status()["connections"] <= 20
        assert service.status()["waiting"] == 0
        await service.close()


async def test_places_are_not_lost_whoever_leaves_when() -> None:
    # Connections end at random moments, clients give up at random moments; in the end every place is free again.
    async with Scripted(
        [READ, OK, READ, CLOSE], [READ, CLOSE], [READ, OK, READ, OK, READ, b"HTTP/1.1 2"], [READ, OK + b"x"]
    ) as server:
        service = upstream(server.port, connections=2, timeouts={"connect": "5s", "response": "200ms"})
        way = service.transport(RouteTimeouts(), drop_cookies=True)

        async def client(number: int) -> None:
            for turn in range(12):
                task = asyncio.create_task(way.send(outbound("POST" if number % 3 else "GET")))
                if (number * 5 + turn) % 4 == 0:
                    for _ in range(turn):
                        await asyncio.sleep(0)
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(client(number) for number in range(4)))
        await service.close()
        opened = server.opened
        await server.until_closed(opened)
        assert service.status()["waiting"] == 0
        assert (await way.send(outbound())).body == b"ok"
        await server.until_closed(opened + 1)
        assert (service._reserved, len(service._connections)) == (0, 0)


async def test_an_idle_connection_that_may_not_be_used_makes_room() -> None:
    async with Scripted([READ, OK] * 2) as server:
        service = upstream(server.port, connections=1)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await way.send(outbound())
        service._lanes[0].idle[0]._alarm.within(KEPT - CALM - 1)  # as if it had rested since
        assert (await way.send(outbound("POST"))).body == b"ok"
        assert server.opened == 2
        await service.close()


async def test_a_request_that_may_not_be_repeated_takes_no_old_connection() -> None:
    async with Scripted([READ, OK, READ, OK]) as server:
        service = upstream(server.port)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await way.send(outbound())
        (kept,) = service._lanes[0].idle
        kept._alarm.within(KEPT - CALM - 1)  # as if it had rested since
        await way.send(outbound("POST"))
        assert (server.opened, service.status()["targets"][0]["idle"]) == (2, 2)
        await service.close()


async def test_an_idle_connection_is_not_kept_for_ever() -> None:
    async with Scripted([READ, OK]) as server:
        service = upstream(server.port)
        await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        (kept,) = service._lanes[0].idle
        kept._alarm.within(0.01)
        await server.until_closed(1)
