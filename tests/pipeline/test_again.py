"""A request that came before on its connection, to the byte: what is remembered of it decides nothing that may have changed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.trail import Trail
from tests.house import POLICY, House, Reply, house, read_reply, request_bytes

DENY = POLICY + '  - {name: closed, deny: any, when: "true"}\n'
PER_REQUEST = {"date", "x-request-id", "ratelimit"}
TIMESTAMP = re.compile(rb'"timestamp":"[^"]*"')


class Line:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, data: bytes) -> Reply:
        self._writer.write(data)
        async with asyncio.timeout(60):
            return await read_reply(self._reader, data.split(b" ")[0].decode())


@asynccontextmanager
async def line(gateway: House) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(*gateway.address())
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def lasting(reply: Reply) -> tuple[Any, ...]:
    """Of an answer, what does not change from one to the next."""
    body = TIMESTAMP.sub(b"", reply.body.replace(reply["x-request-id"].encode(), b"ID"))
    return reply.status, [field for field in reply.headers if field[0].lower() not in PER_REQUEST], body


def constant(event: dict[str, Any]) -> dict[str, Any]:
    """Of an audit event, what does not change from one to the next."""
    own = {"ts", "request_id", "trace_id", "duration_ms", "upstream_ms", "upstream_connect"}
    return {name: value for name, value in event.items() if name not in own}


@pytest.mark.parametrize(
    ("target", "status"),
    [("/things/a?x=1", 200), ("/public/a", 200), ("/things/%41;b", 400), ("/nowhere", 404), ("/things/a,b", 400)],
)
@pytest.mark.parametrize("presented", ["good", "bad", None])
async def test_it_is_answered_and_written_down_as_it_was_before(
    tmp_path: Path, target: str, status: int, presented: str | None
) -> None:
    async with house(tmp_path) as gateway, line(gateway) as client:
        token = gateway.keys.token() if presented == "good" else presented
        data, between = request_bytes(target, token=token), request_bytes("/public/between", token=token)
        replies = []
        for _ in range(4):
            replies.append(await client.ask(data))
            assert (await client.ask(between)).status == 200
        expected = 401 if target.startswith("/things/") and presented != "good" and status == 200 else status
        assert {reply.status for reply in replies} == {expected}
        assert all(lasting(reply) == lasting(replies[0]) for reply in replies)
        assert len({reply["x-request-id"] for reply in replies}) == len(replies)
        events = [event for event in await gateway.requests() if event["path"] != "/public/between"]
        assert len(events) == len(replies)
        assert all(constant(event) == constant(events[0]) for event in events)
        assert [seen.target for seen in gateway.upstream.seen].count(target) == (len(replies) if expected == 200 else 0)


async def test_a_policy_that_denies_it_now_is_obeyed(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway, line(gateway) as client:
        data = request_bytes("/things/a", token=gateway.keys.token())
        assert [(await client.ask(data)).status for _ in range(3)] == [200, 200, 200]
        (gateway.folder / "policies" / "policy.yaml").write_text(DENY)
        assert await gateway.process.reload()
        assert [(await client.ask(data)).status for _ in range(3)] == [403, 403, 403]
        (gateway.folder / "policies" / "policy.yaml").write_text(POLICY)
        assert await gateway.process.reload()
        assert (await client.ask(data)).status == 200
        decisions = [(event["status"], event["decision"], event["rule"]) for event in await gateway.requests()]
        assert decisions[2:5] == [(200, "allow", "tests/members"), (403, "deny", "tests/closed"), (403, "deny", "tests/closed")]


async def test_each_of_them_is_counted(tmp_path: Path) -> None:
    limits = {"default": ["few"], "rules": {"few": {"key": "client.address", "limit": "3/hour"}}}
    async with house(tmp_path, rate_limits=limits) as gateway, line(gateway) as client:
        data = request_bytes("/public/a")
        replies = [await client.ask(data) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert [reply["ratelimit"].split(";")[1] for reply in replies] == ["r=2", "r=1", "r=0", "r=0", "r=0"]
        assert [event["status"] for event in await gateway.requests()] == [200, 200, 200, 429, 429]
        metrics = gateway.process.telemetry.metrics.render().decode()
        assert 'gateway_ratelimit_decisions_total{policy="few",outcome="allowed"} 3' in metrics


async def test_one_that_the_trail_has_no_room_for_is_refused_as_if_it_had_not_come_before(tmp_path: Path) -> None:
    route = {"name": "open.public", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True, "cors": "app"}
    origins = {"app": {"origins": ["https://app.example"]}}
    async with house(tmp_path, cors=origins, routes=[route]) as gateway, line(gateway) as client:
        data = request_bytes("/public/a", headers={"Origin": "https://app.example"})
        assert [(await client.ask(data)).status for _ in range(2)] == [200, 200]
        trail = gateway.process.trail
        assert isinstance(trail, Trail)
        trail._pen.full = True
        again, new = await client.ask(data), await gateway.raw(data)
        assert again.status == 503
        assert again.json()["type"].endswith("audit-full")
        assert lasting(again) == lasting(new)
        trail._pen.full = False
        assert (await client.ask(data)).status == 200
