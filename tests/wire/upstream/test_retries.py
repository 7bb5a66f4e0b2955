"""What is sent twice and what never is, when connections end at the worst moment."""

import asyncio
import os
import socket
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import UpstreamOverloaded, UpstreamTimeout, UpstreamUnreachable
from gateway.core.outbox import outbox_of
from gateway.upstream.model import RouteTimeouts
from tests.moody import ENDS, GARBAGE, SILENT, Moody, answering
from tests.scripted import OK, READ, Counted, Pieces, Scripted, Seen, Whole, body_of, outbound, read_body, upstream


def way_to(service: Any) -> Any:
    return service.transport(RouteTimeouts(), drop_cookies=True)


async def test_another_target_is_asked_when_one_ends_without_an_answer() -> None:
    async with Moody(ENDS) as bad, Moody() as good:
        service = upstream(targets=[bad.url, good.url])
        way = way_to(service)
        for _ in range(20):
            assert (await way.send(outbound())).status == 200
        assert len(bad.seen) == 5
        await service.close()


async def test_retries_stop_where_the_budget_does() -> None:
    metrics = Counted()
    async with Moody(ENDS) as server:
        service = upstream(server.port, metrics=metrics, retry_budget={"min_retries_per_second": 0})
        way = way_to(service)
        for _ in range(50):
            with pytest.raises(UpstreamUnreachable):
                await way.send(outbound())
        assert len(server.seen) == 50
        server.mood = OK
        for _ in range(50):
            await way.send(outbound())
        server.mood = ENDS
        asked = len(server.seen)
        for _ in range(50):
            with pytest.raises(UpstreamUnreachable):
                await way.send(outbound())
        assert len(server.seen) - asked == 60  # a fifth of the fifty that were answered
        assert metrics.counts["gateway.upstream.retries"] == 10
        assert metrics.counts["gateway.upstream.retries_refused"] == 90
        await service.close()


@pytest.mark.parametrize("mood", [GARBAGE, SILENT], ids=["an answer began", "a timeout"])
async def test_what_the_upstream_may_be_working_on_is_not_asked_again(mood: Any) -> None:
    async with Moody(mood) as server:
        way = way_to(upstream(server.port, timeouts={"response": "100ms"}))
        with pytest.raises((UpstreamUnreachable, UpstreamTimeout)):
            await way.send(outbound())
        assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_not_be_done_twice_is_asked_once(method: str) -> None:
    async with Moody(ENDS) as server:
        with pytest.raises(UpstreamUnreachable):
            await way_to(upstream(server.port)).send(outbound(method, body=Whole(b"order")))
        assert len(server.seen) == 1


async def test_what_never_left_is_sent_on_another_connection_whatever_its_method() -> None:
    """The connection ends between the moment a request took it and the moment its bytes would have gone out."""
    metrics = Counted()
    async with Scripted([READ, OK], [READ, OK]) as server:
        service = upstream(server.port, metrics=metrics, retry_budget={"budget_percent": 0, "min_retries_per_second": 0})
        way = way_to(service)
        await way.send(outbound())
        (kept,) = service._lanes[0].idle
        outbox = outbox_of(asyncio.get_running_loop())
        outbox.busy = 2  # others are busy: what is sent waits for the end of the turn
        sending = asyncio.create_task(way.send(outbound("POST", body=Whole(b"order"))))
        try:
            asyncio.get_running_loop().call_soon(kept.abort)
            response = await sending
        finally:
            outbox.busy = 0
        assert (response.status, response.retries) == (200, 1)
        assert [seen.body for seen in server.seen] == [b"", b"order"]
        assert service.status()["targets"][0]["addresses"][0]["failures"] == 0
        await service.close()


async def test_a_body_that_streams_is_not_sent_again_even_if_its_head_never_left() -> None:
    async with Scripted([READ, OK], [READ, OK]) as server:
        service = upstream(server.port)
        way = way_to(service)
        await way.send(outbound())
        (kept,) = service._lanes[0].idle
        outbox = outbox_of(asyncio.get_running_loop())
        outbox.busy = 2
        sending = asyncio.create_task(way.send(outbound("POST", body=Pieces(b"order"))))
        try:
            asyncio.get_running_loop().call_soon(kept.abort)
            with pytest.raises(UpstreamUnreachable):
                await sending
        finally:
            outbox.busy = 0
        assert server.opened == 1
        await service.close()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["ended", "spoke"])
async def test_a_connection_that_ended_unnoticed_is_not_taken_for_what_may_not_be_repeated(sent: bytes) -> None:
    """The end is in the socket already, and the event loop has not looked: the upstream was restarted a moment ago."""
    sockets: list[socket.socket] = []

    class Kept(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            sockets.append(socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())))
            return await super()._answer(reader, writer)

    async with Kept() as server:
        service = upstream(server.port, retry_budget={"budget_percent": 0, "min_retries_per_second": 0})
        way = way_to(service)
        await way.send(outbound())
        (kept,) = service._lanes[0].idle
        sockets[0].sendall(sent)
        if not sent:
            sockets[0].shutdown(socket.SHUT_RDWR)
        assert kept.is_usable()  # as far as the loop knows
        assert (await way.send(outbound("POST", body=Whole(b"order")))).status == 200
        assert [seen.body for seen in server.seen] == [b"", b"order"]
        assert server.opened == 2
        for own in sockets:
            own.close()
        await service.close()


async def test_a_connection_handed_over_that_has_ended_is_not_used() -> None:
    """An upstream that closes after each answer without saying so, while requests wait for its only connection."""
    sockets: list[socket.socket] = []

    class Closing(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            own = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
            sockets.append(own)
            await reader.readuntil(b"\r\n\r\n")
            own.setblocking(True)
            own.sendall(OK)
            own.shutdown(socket.SHUT_RDWR)
            return False

    async with Closing() as server:
        budget = {"budget_percent": 0, "min_retries_per_second": 0}
        service = upstream(server.port, connections=1, max_pending_requests=20, timeouts={"connect": "20s"}, retry_budget=budget)
        way = way_to(service)
        answers = await asyncio.gather(*(way.send(outbound("POST", body=Whole(b""))) for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        for own in sockets:
            own.close()
        await service.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
async def test_whatever_upstreams_do_nothing_is_done_twice_that_may_not_be_and_answers_are_ones_own(seed: int) -> None:
    draw = Random(seed)

    class Chaos(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            head = await reader.readuntil(b"\r\n\r\n")
            seen = Seen(head[:-4], b"")
            seen.body = await read_body(reader, seen)
            self.seen.append(seen)
            target = seen.line.split(b" ")[1]
            answer = answering(draw.choice([200, 200, 500]), target)
            match draw.randrange(9):
                case 0:
                    return False
                case 1:
                    writer.write(answer)
                    return False
                case 2:
                    writer.write(answer[: draw.randrange(len(answer))])
                    return False
                case 3:
                    writer.write(GARBAGE)
                case 4:
                    writer.write(answer + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
                case _:
                    writer.write(answer)
            return True

    async with Chaos() as one, Chaos() as two:
        quick = {"base_ejection_time": "100ms", "max_ejection_time": "100ms"}
        service = upstream(
            targets=[one.url, two.url],
            connections=4,
            outlier_detection=quick,
            slow_start="0s",
            timeouts={"response": "2s", "connect": "2s", "idle": "2s"},
        )
        way = way_to(service)

        async def client(number: int) -> None:
            for turn in range(6):
                method = draw.choice(["GET", "PUT", "POST", "PATCH"])
                target = b"/%b/%d/%d" % (method.lower().encode(), number, turn)
                with suppress(UpstreamUnreachable, UpstreamTimeout, UpstreamOverloaded):
                    answer = await way.send(outbound(method, target, body=Whole(target)))
                    assert await body_of(answer) == target

        await asyncio.gather(*(client(number) for number in range(8)))
        asked = Counter(seen.line for seen in one.seen + two.seen)
        assert all(times <= (2 if line.startswith((b"GET", b"PUT")) else 1) for line, times in asked.items())
        assert all(seen.body == seen.line.split(b" ")[1] for seen in one.seen + two.seen)
        assert service.status()["connections"] <= 4
        await service.close()
