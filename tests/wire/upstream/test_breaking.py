"""An upstream that fails as a whole is left alone, says when to come again, and is asked carefully until it answers."""

import asyncio
from typing import Any

import pytest

from gateway.core.errors import UpstreamOverloaded, UpstreamUnreachable
from gateway.upstream.model import RouteTimeouts
from tests.moody import ENDS, GARBAGE, SILENT, Mood, Moody
from tests.scripted import BOUND, OK, Counted, Seen, outbound, upstream

SOON = {"consecutive_failures": 3, "base_open_time": "150ms", "max_open_time": "150ms"}


async def failing(way: Any, times: int, method: str = "POST") -> None:
    for _ in range(times):
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound(method))


@pytest.mark.parametrize("mood", [GARBAGE, ENDS], ids=["garbage", "ends"])
async def test_an_open_circuit_refuses_at_once_without_touching_the_upstream(mood: bytes | Mood) -> None:
    metrics = Counted()
    async with Moody(mood) as server:
        service = upstream(server.port, metrics=metrics, circuit_breaker={"consecutive_failures": 3})
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await failing(way, 3)
        opened = server.opened
        for method in ("GET", "POST"):
            with pytest.raises(UpstreamOverloaded) as caught:
                await way.send(outbound(method))
            assert caught.value.status == 503
            ((name, seconds),) = caught.value.headers
            assert (name, 1 <= int(seconds) <= 5) == (b"retry-after", True)
        assert (server.opened, len(server.seen)) == (opened, 3)
        assert metrics.counts["gateway.upstream.circuit_changes"] == 1
        assert service.status()["circuit"]["state"] == "open"
        assert ("gateway.upstream.circuit_open", 1.0, {}) in list(service.levels())
        await service.close()


async def test_nobody_there_opens_it_too() -> None:
    async with Moody() as server:
        port = server.port
    service = upstream(port, circuit_breaker={"consecutive_failures": 3})
    way = service.transport(RouteTimeouts(), drop_cookies=True)
    await failing(way, 3)
    with pytest.raises(UpstreamOverloaded):
        await way.send(outbound())
    await service.close()


async def test_without_a_breaker_every_request_is_tried() -> None:
    async with Moody(GARBAGE) as server:
        way = upstream(server.port).transport(RouteTimeouts(), drop_cookies=True)
        await failing(way, 30)
        assert len(server.seen) == 30


async def test_an_answer_in_between_keeps_it_closed() -> None:
    async with Moody() as server:
        server.moods = [GARBAGE, GARBAGE, OK] * 10
        service = upstream(server.port, circuit_breaker={"consecutive_failures": 3})
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        for _ in range(10):
            await failing(way, 2)
            assert (await way.send(outbound())).status == 200
        await service.close()


async def test_it_closes_with_the_first_answer_and_connections_are_kept_again() -> None:
    async with Moody(GARBAGE) as server:
        service = upstream(server.port, circuit_breaker=SOON)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await failing(way, 3)
        server.mood = OK
        async with asyncio.timeout(BOUND):
            while True:
                try:
                    assert (await way.send(outbound())).status == 200
                    break
                except UpstreamOverloaded:
                    await asyncio.sleep(0.01)
        assert service.status()["circuit"]["state"] == "closed"
        opened = server.opened
        for _ in range(5):
            assert (await way.send(outbound())).status == 200
        assert server.opened <= opened + 1
        assert service.status()["targets"][0]["idle"] == 1
        await service.close()


async def test_half_open_one_request_tries_and_the_others_are_refused() -> None:
    async with Moody(GARBAGE) as server:
        service = upstream(server.port, circuit_breaker=SOON, timeouts={"response": "30s"})
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await failing(way, 3)
        server.mood = SILENT
        asked = len(server.seen)
        async with asyncio.timeout(BOUND):
            while service.status()["circuit"]["state"] == "open":
                await asyncio.sleep(0.01)
        tasks = [asyncio.create_task(way.send(outbound())) for _ in range(20)]
        await server.until_seen(asked + 1)
        async with asyncio.timeout(BOUND):
            while sum(task.done() for task in tasks) < 19:
                await asyncio.sleep(0.01)
        done, pending = [task for task in tasks if task.done()], [task for task in tasks if not task.done()]
        assert (len(done), len(pending), len(server.seen)) == (19, 1, asked + 1)
        assert {type(task.exception()) for task in done} == {UpstreamOverloaded}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await service.close()


async def test_those_who_wait_for_a_connection_are_refused_when_it_opens() -> None:
    async with Moody(SILENT) as server:
        service = upstream(
            server.port,
            connections=3,
            circuit_breaker={"consecutive_failures": 3},
            timeouts={"connect": "30s", "response": "200ms"},
        )
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        tasks = [asyncio.create_task(way.send(outbound("POST"))) for _ in range(6)]
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), BOUND)
        # Of those that waited, one may have been given the place of the first that failed.
        assert sum(isinstance(outcome, UpstreamOverloaded) for outcome in outcomes) >= 1
        assert len(server.seen) < 6
        assert service.status()["waiting"] == 0
        await service.close()


async def test_a_full_queue_and_a_long_wait_say_when_to_come_again() -> None:
    async with Moody(SILENT) as server:
        way = upstream(server.port, connections=1, max_pending_requests=1, timeouts={"connect": "50ms"}).transport(
            RouteTimeouts(), drop_cookies=True
        )
        busy = asyncio.create_task(way.send(outbound()))
        await server.until_seen(1)
        outcomes = await asyncio.gather(*(way.send(outbound()) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [UpstreamOverloaded] * 3
        assert {outcome.headers for outcome in outcomes if isinstance(outcome, UpstreamOverloaded)} == {((b"retry-after", b"1"),)}
        assert sorted(str(outcome) for outcome in outcomes) == [
            "no connection came free in time",
            "too many requests wait for a connection",
            "too many requests wait for a connection",
        ]
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_where_waiting_is_not_wanted_nobody_waits() -> None:
    async with Moody(SILENT) as server:
        way = upstream(server.port, connections=1, max_pending_requests=0).transport(RouteTimeouts(), drop_cookies=True)
        busy = asyncio.create_task(way.send(outbound()))
        await server.until_seen(1)
        with pytest.raises(UpstreamOverloaded):
            await way.send(outbound())
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_a_late_answer_after_the_end_of_an_upstream_keeps_no_connection() -> None:
    """A reload retires an upstream whose circuit is open, and then an answer to one of its last requests closes the circuit."""
    gate = asyncio.Event()

    class Late(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            if not self.seen:
                self.moods = [OK]
                head = await reader.readuntil(b"\r\n\r\n")
                self.seen.append(Seen(head[:-4], b""))
                self.changed.set()
                await gate.wait()
                writer.write(OK)
                return True
            return await super()._answer(reader, writer)

    async with Late() as server:
        service = upstream(server.port, circuit_breaker={"consecutive_failures": 3})
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        late = asyncio.create_task(way.send(outbound()))
        await server.until_seen(1)
        server.moods, server.mood = [], GARBAGE
        await failing(way, 3)
        await service.close()
        gate.set()
        assert (await late).status == 200
        await server.until_closed(server.opened)
        assert service.status()["connections"] == 0
