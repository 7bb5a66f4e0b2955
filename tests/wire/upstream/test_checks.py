"""Health checks over real sockets: what they send, what they believe, what they cannot be made to do."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.errors import UpstreamOverloaded
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.pool import Upstream
from tests.moody import ENDS, GARBAGE, SILENT, Moody, answering
from tests.scripted import BOUND, Counted, Scripted, outbound, upstream

QUICK = {"path": "/healthz", "interval": "100ms", "timeout": "500ms", "unhealthy_threshold": 2, "healthy_threshold": 2}


@asynccontextmanager
async def started(service: Upstream) -> AsyncIterator[Upstream]:
    service.start()
    try:
        yield service
    finally:
        await service.close()


def states(service: Upstream) -> list[str]:
    return [address["state"] for target in service.status()["targets"] for address in target["addresses"]]


async def until_states(service: Upstream, *expected: str) -> None:
    async with asyncio.timeout(BOUND):
        while states(service) != [*expected]:
            await asyncio.sleep(0.01)


def checks(server: Scripted) -> list[bytes]:
    return [seen.head for seen in server.seen if seen.line.startswith(b"GET /healthz")]


async def test_a_check_is_a_plain_request_without_any_credential() -> None:
    async with Moody() as server:
        keys: dict[str, Any] = {
            "headers": {"set": {"X-Team": "secret-canary"}},
            "health_check": {**QUICK, "path": "/healthz?deep=1"},
        }
        async with started(upstream(server.port, **keys)):
            await server.until_seen(1)
            (head,) = {seen.head for seen in server.seen}
    assert head == (
        b"GET /healthz?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
        b"user-agent: latchgate-health-check\r\naccept: */*\r\nconnection: close" % server.port
    )


async def test_a_check_asks_the_path_as_it_stands_and_the_host_that_was_given() -> None:
    async with Moody() as server:
        url = f"http://127.0.0.1:{server.port}/base"
        async with started(upstream(url=url, health_check={**QUICK, "host": "api.example:8443"})):
            await server.until_seen(1)
            assert server.seen[0].line == b"GET /healthz HTTP/1.1"
            assert server.seen[0].all(b"host") == [b"api.example:8443"]


async def test_a_check_uses_a_connection_of_its_own_and_ends_it() -> None:
    async with Moody() as server:
        service = upstream(server.port, connections=1, max_pending_requests=0, health_check=QUICK)
        async with started(service):
            for _ in range(5):
                assert (await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())).status == 200
                asked = len(checks(server))
                async with asyncio.timeout(BOUND):
                    while len(checks(server)) == asked:
                        await asyncio.sleep(0.01)
            assert service.status()["connections"] == 1
        await server.until_closed(server.opened)
        assert service._lanes[0].open == 0


@pytest.mark.parametrize(
    "mood",
    [
        pytest.param(answering(500), id="500"),
        pytest.param(answering(302, b"", b"location: /elsewhere"), id="redirect"),
        pytest.param(GARBAGE, id="garbage"),
        pytest.param(ENDS, id="ends"),
        pytest.param(SILENT, id="silent"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, id="endless-informational"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40000, id="endless-head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok", id="ambiguous"),
    ],
)
async def test_what_does_not_answer_as_expected_is_unhealthy_and_comes_back_when_it_does(mood: Any) -> None:
    metrics = Counted()
    async with Moody() as bad, Moody() as good:
        bad.at[b"/healthz"] = mood
        service = upstream(targets=[bad.url, good.url], metrics=metrics, health_check=QUICK)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        async with started(service):
            await until_states(service, "unhealthy", "serving")
            asked = len(bad.seen) - len(checks(bad))
            for _ in range(20):
                assert (await way.send(outbound())).status == 200
            assert len(bad.seen) - len(checks(bad)) == asked
            assert service.status()["targets"][0]["addresses"][0]["problem"].startswith("health check: ")
            bad.at.clear()
            await until_states(service, "serving", "serving")
        assert metrics.counts["gateway.upstream.health_checks"] > 4


async def test_a_check_reads_no_more_than_a_head_of_an_endless_answer() -> None:
    """Attack: a health endpoint that never stops sending (CVE-2026-26998)."""
    sent = 0

    class Endless(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536

    async with Endless() as server:
        service = upstream(server.port, health_check={**QUICK, "interval": "1h"})
        async with started(service):
            await server.until_closed(1)
        assert sent < 30 * 1024 * 1024  # what fits into the buffers of two sockets
        assert states(service) == ["serving"]


async def test_a_check_that_drips_is_over_when_its_time_is() -> None:
    class Dripping(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(b"HTTP/1.1 200 OK\r\nx-more: 1\r\n" if self.opened < 0 else b"H")
                await writer.drain()
                await asyncio.sleep(0.02)

    async with Dripping() as bad, Moody() as good:
        service = upstream(targets=[bad.url, good.url], health_check={**QUICK, "timeout": "100ms"})
        async with started(service):
            await until_states(service, "unhealthy", "serving")


async def test_checks_use_the_upstreams_tls(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    contexts = []
    for issuer in (authority, other):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert("127.0.0.1").configure_cert(context)
        contexts.append(context)
    async with Moody(ssl=contexts[0]) as trusted, Moody(ssl=contexts[1]) as untrusted:
        targets = [f"https://127.0.0.1:{server.port}" for server in (trusted, untrusted)]
        service = upstream(targets=targets, tls={"ca": str(tmp_path / "ca.pem")}, health_check=QUICK)
        async with started(service):
            await until_states(service, "serving", "unhealthy")
            assert (checks(trusted) != [], checks(untrusted)) == (True, [])


async def test_every_address_of_a_name_is_checked() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "::1"]

    async with Moody() as server:
        service = upstream(url=f"http://tools.example:{server.port}", resolve=two, health_check=QUICK)
        async with started(service):
            await until_states(service, "serving", "unhealthy")
            assert {seen.all(b"host")[0] for seen in server.seen} == {b"tools.example:%d" % server.port}


async def test_a_name_that_does_not_resolve_is_unhealthy_and_recovers() -> None:
    known: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        if not known:
            raise OSError("no such name")
        return known

    async with Moody() as server:
        service = upstream(url=f"http://tools.example:{server.port}", resolve=resolve, health_check=QUICK)
        async with started(service):
            await until_states(service, "unhealthy")
            known.append("127.0.0.1")
            await until_states(service, "serving")


async def test_when_none_is_healthy_all_are_used_or_none_as_configured() -> None:
    async with Moody() as server:
        server.at[b"/healthz"] = answering(404)
        trusting = upstream(server.port, health_check=QUICK)
        async with started(trusting):
            await until_states(trusting, "unhealthy")
            assert (await trusting.transport(RouteTimeouts(), drop_cookies=True).send(outbound())).status == 200
            assert trusting.status()["panic"]
        strict = upstream(server.port, health_check=QUICK, panic_threshold=0)
        way = strict.transport(RouteTimeouts(), drop_cookies=True)
        async with started(strict):
            assert (await way.send(outbound())).status == 200
            await until_states(strict, "unhealthy")
            with pytest.raises(UpstreamOverloaded) as caught:
                await way.send(outbound())
            assert caught.value.headers == ((b"retry-after", b"1"),)
            server.at.clear()
            await until_states(strict, "serving")
            assert (await way.send(outbound())).status == 200


async def test_statuses_are_expected_as_configured() -> None:
    async with Moody() as one, Moody() as two:
        one.at[b"/healthz"], two.at[b"/healthz"] = answering(204), answering(429)
        service = upstream(targets=[one.url, two.url], health_check={**QUICK, "expected_statuses": ["429", "500-503"]})
        async with started(service):
            await until_states(service, "unhealthy", "serving")


async def test_an_upstream_is_checked_only_while_it_is_live() -> None:
    async with Moody() as server:
        service = upstream(server.port, health_check=QUICK)
        await asyncio.sleep(0)
        assert server.opened == 0
        service.start()
        service.start()
        await server.until_seen(2)
        assert len(service._tasks) == 1
        await service.close()
        opened = server.opened
        await server.until_closed(opened)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert server.opened == opened


async def test_a_check_ends_with_its_upstream_in_the_midst_of_it() -> None:
    async with Moody(SILENT) as server:
        service = upstream(server.port, health_check={**QUICK, "timeout": "1h"})
        service.start()
        await server.until_seen(1)
        await service.close()
        await server.until_closed(1)
        assert service._lanes[0].open == 0
